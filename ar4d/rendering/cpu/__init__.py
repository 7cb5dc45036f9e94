"""Rasterisation of 3D Gaussians on the CPU, forward and backward, in Numba.

Forward
    1. projection.py: each Gaussian becomes a splat (mean, shape, opacity, colour, depth) with the
       box of pixels outside which its alpha is below 1/255.
    2. binning.py: one radix sort of the splats by depth; dealt out to tiles of 32×32 pixels in that
       order, so that every tile has its list from near to far.
    3. tiles.py: a tile blends its splats one after another, each over the rows of its box, until
       all its pixels are closed.

Blending, for one pixel and the splats i = 1, 2, ... that it sees from near to far:

    α_i = min(0.999, o_i exp(power_i)), dropped below 1/255      T_1 = 1,  T_{i+1} = T_i (1 - α_i)
    C = Σ w_i c_i + T_end · background,  w_i = T_i α_i           alpha = 1 - T_end

where c_i is the splat's colour and depth, and blending ends before T would fall to 1e-4.

Backward
    Let g be the loss's gradient by the pixel's C, and g_A the one by its alpha. A splat in front
    dims all that lies behind it, the background included:

        ∂/∂c_i = w_i g
        ∂/∂α_i = T_i (g·c_i) - S_i / (1 - α_i),   S_i = Σ_{j>i} w_j (g·c_j) + T_end (g·background - g_A)

    S_0 = g·C - g_A T_end is known from the finished image, and S_i = S_{i-1} - w_i (g·c_i). So
    tiles_backward.py replays the blending from near to far, as the forward pass went, and carries
    one number S a pixel instead of a list of all splats. From α_i on, with u and dy of
    projection.py:

        ∂/∂power_i = α_i ∂/∂α_i (0 where capped),   ∂/∂o_i = Σ_pixels ∂/∂power_i / o_i
        power = -½ (a u² + b dy²),  u = dx - m dy,  (dx, dy) = mean - pixel

    needs only the sums of ∂/∂power times 1, u, u², u dy, dy and dy² over the splat's pixels.
    projection_backward.py adds up the tiles and cameras of each Gaussian, in a fixed order, and
    goes on to its mean, quat and scale.

Nothing depends on the number of threads, to the last bit (see parallel.py).
"""

from ar4d.rendering.cpu.function import rasterize

__all__ = ["rasterize"]
