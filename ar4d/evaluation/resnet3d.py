"""3D ResNet-50, the network behind FID-VID.

Hara, Kataoka and Satoh, "Can Spatiotemporal 3D CNNs Retrace the History of 2D CNNs and ImageNet?", 2018: the
file `resnet-50-kinetics.pth` (shortcut type B, 400 classes). It is not part of this project.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

_EXPANSION = 4


class _Bottleneck(nn.Module):
    def __init__(self, inputs: int, width: int, stride: int) -> None:
        super().__init__()
        outputs = width * _EXPANSION
        self.conv1, self.bn1 = nn.Conv3d(inputs, width, 1, bias=False), nn.BatchNorm3d(width)
        self.conv2 = nn.Conv3d(width, width, 3, stride, padding=1, bias=False)
        self.bn2 = nn.BatchNorm3d(width)
        self.conv3, self.bn3 = nn.Conv3d(width, outputs, 1, bias=False), nn.BatchNorm3d(outputs)
        self.downsample = None
        if stride != 1 or inputs != outputs:
            self.downsample = nn.Sequential(
                nn.Conv3d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm3d(outputs)
            )

    def forward(self, x: Tensor) -> Tensor:
        y = F.relu(self.bn1(self.conv1(x)))
        y = self.bn3(self.conv3(F.relu(self.bn2(self.conv2(y)))))
        return F.relu(y + (x if self.downsample is None else self.downsample(x)))


class ResNet50(nn.Module):
    """The network with the entries of `resnet-50-kinetics.pth`."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv3d(3, 64, 7, (1, 2, 2), padding=3, bias=False)
        self.bn1 = nn.BatchNorm3d(64)
        inputs = 64
        for index, (width, depth) in enumerate(zip((64, 128, 256, 512), (3, 4, 6, 3), strict=True)):
            blocks = []
            for k in range(depth):
                blocks.append(_Bottleneck(inputs, width, 2 if index > 0 and k == 0 else 1))
                inputs = width * _EXPANSION
            self.add_module(f"layer{index + 1}", nn.Sequential(*blocks))
        self.fc = nn.Linear(inputs, 400)

    def forward(self, clips: Tensor) -> Tensor:
        """The pooled features before the classifier.

        Args:
            clips: [N, 3, T, H, W], RGB in [0, 255] minus the mean of Kinetics.

        Returns:
            [N, 2048].
        """
        x = F.max_pool3d(F.relu(self.bn1(self.conv1(clips))), 3, 2, padding=1)
        for index in range(1, 5):
            x = self.get_submodule(f"layer{index}")(x)
        return x.mean(dim=(-3, -2, -1))
