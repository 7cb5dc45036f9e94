"""The mutants of `tests.mutants`: a piece of the package, what it becomes, and which tests have to notice."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Mutant:
    """A change that breaks the method."""

    name: str
    what: str
    path: str
    old: str
    """Found exactly once in the file."""
    new: str
    tests: tuple[str, ...]


STAGE = "ar4d/engines/ar4d"
TESTS = "tests/engines/ar4d"
LOSSES = ("ar4d/losses.py", ("tests/test_losses.py",))
GENERATE = (f"{STAGE}/generate.py", (f"{TESTS}/test_generate.py",))
PSEUDO = (f"{STAGE}/pseudo_views.py", (f"{TESTS}/test_pseudo_views.py",))
REFINE = (f"{STAGE}/refine.py", (f"{TESTS}/test_refine.py",))
INITIALIZE = (f"{STAGE}/initialize.py", (f"{TESTS}/test_initialize.py",))
PIPELINE = (f"{STAGE}/pipeline.py", (f"{TESTS}/test_switches.py",))
FIELDS = ("ar4d/deformation.py", ("tests/test_deformation.py",))
PARAMETERS = ("ar4d/parameters.py", ("tests/test_parameters.py",))
FITTING = (f"{STAGE}/fitting.py", (f"{TESTS}/test_fitting.py",))
CAMERAS = ("ar4d/cameras.py", ("tests/test_cameras.py",))
VIEWS = ("ar4d/views.py", ("tests/test_views.py",))
IMAGES = ("ar4d/images.py", ("tests/test_images.py",))
RENDERING = (
    "ar4d/rendering/cpu/tiles.py",
    ("tests/rendering/test_rendering.py::test_images_and_gradients_match_the_dense_reference",),
)
SPLATS = ("ar4d/formats/splats/stored.py", ("tests/formats/test_export_splats.py",))
PLY = ("ar4d/formats/splats/ply.py", ("tests/formats/test_export_splats.py",))
SPZ = ("ar4d/formats/splats/spz.py", ("tests/formats/test_export_splats.py",))


def mutant(name: str, what: str, where: tuple[str, tuple[str, ...]], old: str, new: str) -> Mutant:
    path, tests = where
    return Mutant(name, what, path, old, new, tests)


IN_LOSSES = (
    mutant(
        "eq8-no-depth", "Eq. 8 without its depth term", LOSSES,
        "return rgb_weight * rgb + depth_weight * depth", "return rgb_weight * rgb",
    ),
    mutant(
        "eq8-no-colour", "Eq. 8 without its colour term", LOSSES,
        "return rgb_weight * rgb + depth_weight * depth", "return depth_weight * depth",
    ),
    mutant(
        "eq8-depth-units", "Eq. 8 with depth in world units", LOSSES,
        "* mask).mean() / RADIUS", "* mask).mean()",
    ),
    mutant(
        "eq8-covered", "a scene's uncovered pixels compared as well", LOSSES,
        ".float() if covered_only else", ".float() if False else",
    ),
    mutant(
        "eq11-no-depth", "Eq. 11 without its depth term", LOSSES,
        "depth = depth_weight * (view", "depth = 0.0 * (view",
    ),
    mutant(
        "eq2-l1", "Eq. 2 with L1 in place of the squared error", LOSSES,
        "return (view - target).square().mean()", "return (view - target).abs().mean()",
    ),
    mutant(
        "eq5-swapped", "Eq. 5 with its two weights exchanged", LOSSES,
        "(1 - ssim_weight) * difference + ssim_weight * (1 - similarity)",
        "ssim_weight * difference + (1 - ssim_weight) * (1 - similarity)",
    ),
    mutant(
        "preservation-no-alpha", "preservation without alpha", LOSSES,
        " + (view.alpha - expected.alpha).abs().mean()", "",
    ),
)  # fmt: skip

IN_STAGES = (
    mutant(
        "eq7-azimuth-0", "Eq. 7 sampled at azimuth 0 only", GENERATE,
        "return int(random.integers(-limit, limit + 1))", "return 0",
    ),
    mutant(
        "eq7-one-side", "Eq. 7 sampled to one side only", GENERATE,
        "random.integers(-limit, limit + 1)", "random.integers(0, limit + 1)",
    ),
    mutant(
        "eq7-open-end", "Eq. 7 without the range's right end", GENERATE,
        "random.integers(-limit, limit + 1)", "random.integers(-limit, limit)",
    ),
    mutant(
        "eq6-no-start", "Eq. 6 without N_start", GENERATE,
        "u // options.steps_per_degree + options.start_azimuth", "u // options.steps_per_degree",
    ),
    mutant(
        "eq5-lambda", "λ of Eq. 5 given to the wrong term", GENERATE,
        "self.target[None], 1 - self.options.l1)", "self.target[None], self.options.l1)",
    ),
    mutant(
        "eq8-weights", "the weights of Eq. 8 exchanged on the way", GENERATE,
        "options.pseudo_rgb, options.pseudo_depth,", "options.pseudo_depth, options.pseudo_rgb,",
    ),
    mutant(
        "alpha-lost", "no loss on the reference view's alpha", GENERATE,
        "self.options.alpha * (view.alpha", "0 * (view.alpha",
    ),
    mutant(
        "not-autoregressive", "every frame deformed from the first", GENERATE,
        "frames[-1] if options.autoregressive else frames[0]", "frames[0]",
    ),
    mutant(
        "view-0-rendered", "Sec. 4.2: view 0 rendered, not the actual frame", PSEUDO,
        "torch.cat([self.rgba[frame_index][None], _straight(renders)])",
        "torch.cat([_straight(render(gaussians, orbit(0.0, self.rig.elevation_deg, size=self.rig.size), "
        "background=None)), _straight(renders)])",
    ),
    mutant(
        "views-reversed", "the orthogonal views in reverse order", PSEUDO,
        "orbit(ORTHOGONAL_AZIMUTHS_DEG[1:], self", "orbit(ORTHOGONAL_AZIMUTHS_DEG[:0:-1], self",
    ),
    mutant(
        "views-premultiplied", "premultiplied renders given to the expert", PSEUDO,
        "return unpremultiply(torch.cat([premultiplied.rgb, premultiplied.alpha[..., None]], dim=-1))",
        "return torch.cat([premultiplied.rgb, premultiplied.alpha[..., None]], dim=-1)",
    ),
    mutant(
        "pseudo-once", "pseudo-Gaussians made once per frame", PSEUDO,
        "if u % self.every == 0:\n            cameras", "if u == 0:\n            cameras",
    ),
    mutant(
        "grid-frame-0", "a grid's first frame shown for every frame", PSEUDO,
        "self.grid.at(row, frame_index,", "self.grid.at(row, 0,",
    ),
    mutant(
        "grid-unused", "a grid's views replaced by renders", PSEUDO,
        "row = self.grid.row(azimuth_deg)", "row = None",
    ),
    mutant(
        "scene-depth", "a scene's depth not divided by its alpha", PSEUDO,
        "view.depth / view.alpha.clamp_min(1e-6)", "view.depth",
    ),
    mutant(
        "eq2-scales", "Eq. 2 with scales that learn as well", INITIALIZE,
        "optimizer.add([parameters.colors.requires_grad_()]",
        "optimizer.add([parameters.colors.requires_grad_(), parameters.log_scales.requires_grad_()]",
    ),
    mutant(
        "finetune-always", "the switch `finetune` ignored", INITIALIZE,
        "if options.finetune else initial", "if True else initial",
    ),
    mutant(
        "preservation-front", "preservation at the reference view only", INITIALIZE,
        "azimuth_deg = int(random.integers(-rig.sides_deg, rig.sides_deg))", "azimuth_deg = 0",
    ),
    mutant(
        "progressive-always", "the switch `progressive_views` ignored", PIPELINE,
        "if not options.progressive_views:", "if False:",
    ),
    mutant(
        "refine-always", "the switch `refine` ignored", PIPELINE,
        "if settings.refine.enabled and len(frames) > 1:", "if len(frames) > 1:",
    ),
    mutant(
        "eq11-target", "Eq. 11 held to the other target", REFINE,
        'if options.target == "input":', 'if options.target != "input":',
    ),
    mutant(
        "eq11-azimuth-0", "Eq. 11 compared at azimuth 0 only", REFINE,
        "azimuth_deg = int(random.integers(-rig.sides_deg, rig.sides_deg))", "azimuth_deg = 0",
    ),
    mutant(
        "eq11-one-frame", "Eq. 10 without its mean over frames", REFINE,
        "order = order or random.permutation(len(frames)).tolist()  # every", "order = [1]  # every",
    ),
    mutant(
        "eq9-no-time", "Eq. 9 always asked for t = 0", REFINE,
        "parameters.activated(field, frame_time(k, len(frames)))", "parameters.activated(field, 0.0)",
    ),
    mutant(
        "rates-constant", "learning rates that do not fall", FITTING,
        'group["share"] ** (u / self.steps)', "1.0",
    ),
)  # fmt: skip

IN_FIELDS = (
    mutant(
        "eq4-pi", "Eq. 4 with a factor π", FIELDS,
        "2.0 ** torch.arange(frequencies", "torch.pi * 2.0 ** torch.arange(frequencies",
    ),
    mutant(
        "eq4-attached", "gradients through the positional encoding", FIELDS,
        "_encode(means.detach(), t", "_encode(means, t",
    ),
    mutant(
        "eq3-not-residual", "offsets in place of means", FIELDS,
        "return means + offsets[:, :3], quats", "return offsets[:, :3], quats",
    ),
    mutant(
        "eq9-time-lost", "a global network that does not see the time", FIELDS,
        "positional_encoding(points.new_tensor([t]),", "positional_encoding(points.new_tensor([0.0]),",
    ),
    mutant(
        "blend-first-frame", "blend weights from the first frame alone", FIELDS,
        "for x, y in zip(a, b, strict=True):", "for x, y in zip(a[:1], b[:1], strict=True):",
    ),
    mutant(
        "spline-slope", "a spline with doubled slopes", FIELDS,
        "slope_a = (b - keyframes[k - 1]) / 2 if", "slope_a = (b - keyframes[k - 1]) if",
    ),
    mutant(
        "blend-no-pivot", "nodes that turn Gaussians about the origin",
        ("ar4d/blending.py", ("tests/test_blending.py",)),
        "offsets = nodes + translations", "offsets = translations",
    ),
    mutant(
        "eq3-opacity", "δα not applied", PARAMETERS,
        "logits, log_scales = logits + delta[:, 0], log_scales", "logits, log_scales = logits, log_scales",
    ),
    mutant(
        "parameters-shared", "the source's own tensors optimised", PARAMETERS,
        "g = gaussians.detach()", "g = gaussians",
    ),
    mutant(
        "frame-time", "frame k at t = k / F",
        ("ar4d/asset.py", ("tests/test_parameters.py",)),
        "return frame_index / (num_frames - 1) if", "return frame_index / num_frames if",
    ),
    mutant(
        "long-way-round", "rotations interpolated the long way",
        ("ar4d/gaussians.py", ("tests/test_gaussians.py",)),
        "keepdim=True) < 0, -1.0, 1.0)", "keepdim=True) < 0, 1.0, 1.0)",
    ),
)  # fmt: skip

IN_CAMERAS_AND_FILES = (
    mutant(
        "camera-mirrored", "azimuths counted the other way", CAMERAS,
        "a, e = math.radians(azimuth_deg),", "a, e = math.radians(-azimuth_deg),",
    ),
    mutant(
        "camera-focal", "the field of view taken for its half", CAMERAS,
        "math.tan(math.radians(fov_y_deg) / 2)", "math.tan(math.radians(fov_y_deg))",
    ),
    mutant(
        "render-depth", "depths blended without transmittance",
        RENDERING,
        "tile[o + D + k] += weight * depth", "tile[o + D + k] += alpha * depth",
    ),
    mutant(
        "views-no-modulo", "-90° not found as 270°", VIEWS,
        "- azimuth_deg + 180) % 360 - 180)", "- azimuth_deg))",
    ),
    mutant(
        "views-straight-resize", "views resized without premultiplying", VIEWS,
        "light = premultiply(picture).permute", "light = picture.permute",
    ),
    mutant(
        "on-white", "straight colours taken for premultiplied ones", IMAGES,
        "return rgba[..., :3] * alpha + (1 - alpha)", "return rgba[..., :3] + (1 - alpha)",
    ),
    mutant(
        "ply-colour", "PLY colours without the offset of 1/2", SPLATS,
        "((g.colors - 0.5) / SH_C0)", "(g.colors / SH_C0)",
    ),
    mutant(
        "ply-scales", "PLY scales without their logarithm", SPLATS,
        "g.scales.clamp_min(SMALLEST_SCALE).log()", "g.scales.clamp_min(SMALLEST_SCALE)",
    ),
    mutant(
        "up-mirrored", "a mirror image in place of half a turn", SPLATS,
        "means.new_tensor([-1.0, -1.0, 1.0])", "means.new_tensor([1.0, -1.0, 1.0])",
    ),
    mutant(
        "compressed-bits", "packed positions with exchanged bit widths", PLY,
        "pack_bits(positions, (11, 10, 11))", "pack_bits(positions, (10, 11, 11))",
    ),
    mutant(
        "spz-rotation", "SPZ rotations counted as wxyz", SPZ,
        "np.roll(quats, -1, axis=1)", "quats",
    ),
)  # fmt: skip

MUTANTS = (*IN_LOSSES, *IN_STAGES, *IN_FIELDS, *IN_CAMERAS_AND_FILES)
