"""Networks after 4DSTAR (papers on arXiv: "Spatial-Temporal State Propagation Autoregressive Model").

A 4D VQ-VAE turns pictures of an object from several views into codes and codes into Gaussians that move;
STAR predicts the codes of unseen views, time by time. The authors have published neither code nor weights,
so each file lists what is theirs and what is a default of this project.
"""

from ar4d.experts.star.expert import Star4D

__all__ = ["Star4D"]
