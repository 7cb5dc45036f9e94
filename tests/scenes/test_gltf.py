"""Reading glTF: a file written here, byte by byte, against what its numbers say."""

import json
import struct

import numpy as np
import pytest

from ar4d.scenes.gltf import load_glb

QUARTER = np.sqrt(0.5)


def glb(tree: dict, arrays: list[np.ndarray]) -> bytes:
    """A binary file whose accessors are the arrays, in turn."""
    kinds = {"float32": 5126, "uint16": 5123, "uint8": 5121}
    widths = {1: "SCALAR", 3: "VEC3", 4: "VEC4", 2: "VEC2", 16: "MAT4"}
    views, accessors, binary = [], [], b""
    for array in arrays:
        flat = np.ascontiguousarray(array)
        views.append({"buffer": 0, "byteOffset": len(binary), "byteLength": flat.nbytes})
        kind = {"componentType": kinds[flat.dtype.name], "type": widths[flat[0].size], "count": len(flat)}
        accessors.append({"bufferView": len(views) - 1, **kind})
        binary += flat.tobytes() + b"\0" * (-flat.nbytes % 4)
    whole = {"asset": {"version": "2.0"}, "bufferViews": views, "accessors": accessors, **tree}
    text = json.dumps(whole).encode()
    text += b" " * (-len(text) % 4)
    chunks = (
        struct.pack("<I4s", len(text), b"JSON") + text + struct.pack("<I4s", len(binary), b"BIN\0") + binary
    )
    return struct.pack("<4sII", b"glTF", 2, 12 + len(chunks)) + chunks


@pytest.fixture
def model() -> tuple[dict, list[np.ndarray]]:
    """A triangle on a node that turns a quarter about y, below one that moves; and a skinned one."""
    triangle = np.array([[1, 0, 0], [0, 1, 0], [0, 0, 0]], np.float32)
    arrays = [
        triangle,
        np.array([0, 1, 2], np.uint16),
        np.array([0, 1], np.float32),
        np.array([[0, 0, 0, 1], [0, QUARTER, 0, QUARTER]], np.float32),
        np.array([[0, 1, 0, 0], [0, 0, 0, 0], [1, 0, 0, 0]], np.uint8),
        np.array([[1, 0, 0, 0], [1, 0, 0, 0], [1, 1, 0, 0]], np.float32),
        np.tile(np.eye(4, dtype=np.float32).reshape(1, 16), (2, 1)),
    ]
    primitive = {"attributes": {"POSITION": 0}, "indices": 1, "material": 0}
    skinned = {"attributes": {"POSITION": 0, "JOINTS_0": 4, "WEIGHTS_0": 5}}
    tree = {
        "nodes": [
            {"translation": [0, 0, 5], "children": [1]},
            {"mesh": 0, "scale": [2, 1, 1]},
            {"mesh": 1, "skin": 0},
            {"translation": [0, 0, 1]},
        ],
        "meshes": [
            {"name": "plain", "primitives": [primitive]},
            {"name": "skinned", "primitives": [skinned]},
        ],
        "materials": [{"pbrMetallicRoughness": {"baseColorFactor": [1, 0.5, 0, 1]}}],
        "skins": [{"joints": [1, 3], "inverseBindMatrices": 6}],
        "animations": [
            {
                "name": "turn",
                "channels": [{"sampler": 0, "target": {"node": 1, "path": "rotation"}}],
                "samplers": [{"input": 2, "output": 3}],
            }
        ],
    }
    return tree, arrays


def test_nodes_move_and_skins_follow(model):
    plain, skinned = load_glb(glb(*model), "turn", 2).parts
    np.testing.assert_allclose(plain.vertices[0], [[2, 0, 5], [0, 1, 5], [0, 0, 5]], atol=1e-6)
    half = np.cos(np.pi / 4)  # halfway through a quarter turn: 45°, x towards -z
    np.testing.assert_allclose(plain.vertices[1][0], [2 * half, 0, 5 - 2 * half], atol=1e-6)
    assert plain.colour == (1.0, 188 / 255, 0.0)  # 0.5 in linear light
    # Joint 0 is node 1, which lies at z = 5; joint 1 lies at z = 1; the last vertex is between both.
    np.testing.assert_allclose(skinned.vertices[0], [[2, 0, 5], [0, 1, 5], [0, 0, 3]], atol=1e-6)
    assert (skinned.faces == [[0, 1, 2]]).all()


def test_at_rest_nothing_moves(model):
    plain, _ = load_glb(glb(*model), None, 3).parts
    assert (plain.vertices == plain.vertices[:1]).all()


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"animations": []}, 'no animation "turn"'),
        ({"extensionsRequired": ["KHR_draco_mesh_compression"]}, "KHR_draco_mesh_compression is not read"),
        ({"nodes": [{}], "animations": [], "skins": []}, "no"),
    ],
)
def test_what_is_not_read_is_said(model, change, sentence):
    tree, arrays = model
    with pytest.raises(ValueError, match=sentence):
        load_glb(glb(tree | change, arrays), "turn", 2)
    with pytest.raises(ValueError, match="not a binary"):
        load_glb(b"{}", None, 2)
