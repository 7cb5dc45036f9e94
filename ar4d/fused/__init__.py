"""One training step on the CPU as one chain of kernels, in buffers that are allocated once, without autograd.

    nodes.py      the offsets of the control nodes become transforms
    gaussians.py  the Gaussians follow their nodes and are activated
    (rendering)   projection, binning and blending of all views, which may differ in size
    images.py     the views' losses and their gradients by the pixels
    (rendering)   the derivative of blending
    gaussians.py  the derivatives of projection, activation and following the nodes
    nodes.py      the derivative of the transforms
    adam.py       the step down the gradient

It does what autograd does with `Parameters`, `NodeField`, `render`, `ar4d.losses` and Adam, which the tests
compare it with. Nothing depends on the number of threads, to the last bit.
"""
