"""The 4D optimisation of SV4D 2.0 (Yao, Xie et al., arXiv 2503.16396, Sec. 4) on deformable Gaussians.

A clip becomes several, seen from other sides, and one set of Gaussians that move is fitted to all of them.
The authors have not published their code; where the paper is silent, the settings say what was chosen.
"""
