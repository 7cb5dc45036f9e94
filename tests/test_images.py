import numpy as np

from ar4d.images import on_white, premultiply, to_float, to_uint8, unpremultiply


def colors() -> np.ndarray:
    rgba = np.random.default_rng(0).random((5, 7, 4))
    rgba[0, 0, 3] = 0
    return rgba


def test_premultiplied_colours_come_back_straight():
    rgba = colors()
    premultiplied = premultiply(rgba)
    np.testing.assert_allclose(premultiplied[2, 3, :3], rgba[2, 3, :3] * rgba[2, 3, 3])
    again = unpremultiply(premultiplied)
    opaque = rgba[..., 3] > 0
    np.testing.assert_allclose(again[opaque], rgba[opaque])
    np.testing.assert_array_equal(again[0, 0], 0)


def test_white_shows_through():
    np.testing.assert_allclose(on_white(np.array([0.2, 0.4, 1.0, 0.5])), [0.6, 0.7, 1.0])
    np.testing.assert_allclose(on_white(colors())[0, 0], 1)


def test_eight_bits_round_and_clip():
    np.testing.assert_array_equal(to_uint8(np.array([-1.0, 0.5, 0.998, 2.0])), [0, 128, 254, 255])
    np.testing.assert_array_equal(to_uint8(to_float(np.arange(256, dtype=np.uint8))), np.arange(256))
