#!/usr/bin/env bash
# trimesh 5.2.0 writes a GLB with 16-bit vertex colours back as noise.
# Expected: glTF allows COLOR_0 as unsigned short, normalised; a program that loads a file and writes it again
# keeps the colours (rescaled to bytes if need be): 32896 of 65535 becomes 128 of 255.
# Behaviour: the file is written as normalised bytes that hold only the low byte of each value.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check trimesh==5.2.0 pygltflib==1.16.5 numpy==2.4.6
"$folder/venv/bin/python" - <<'PYTHON'
import struct

import numpy as np
import pygltflib as gltf
import trimesh

points = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0]], "<f4")
colors = np.array([[32768, 16384, 65280, 65535]] * 3, "<u2")
blob = points.tobytes() + colors.tobytes()
document = gltf.GLTF2(
    scene=0, scenes=[gltf.Scene(nodes=[0])], nodes=[gltf.Node(mesh=0)],
    meshes=[gltf.Mesh(primitives=[gltf.Primitive(attributes=gltf.Attributes(POSITION=0, COLOR_0=1), material=0)])],
    materials=[gltf.Material(pbrMetallicRoughness=gltf.PbrMetallicRoughness())],
    buffers=[gltf.Buffer(byteLength=len(blob))],
    bufferViews=[gltf.BufferView(buffer=0, byteOffset=0, byteLength=36),
                 gltf.BufferView(buffer=0, byteOffset=36, byteLength=24)],
    accessors=[gltf.Accessor(bufferView=0, componentType=5126, count=3, type="VEC3", min=[0, 0, 0], max=[1, 1, 0]),
               gltf.Accessor(bufferView=1, componentType=5123, normalized=True, count=3, type="VEC4")],
)
document.set_binary_blob(blob)
again = gltf.GLTF2().load_from_bytes(trimesh.load_scene(
    trimesh.util.wrap_as_stream(b"".join(document.save_to_bytes())), file_type="glb").export(file_type="glb"))
accessor = again.accessors[again.meshes[0].primitives[0].attributes.COLOR_0]
view = again.bufferViews[accessor.bufferView]
assert accessor.componentType == 5121 and accessor.normalized, "it writes another type now"
found = list(again.binary_blob()[view.byteOffset : view.byteOffset + 4])
right = [round(value / 65535 * 255) for value in colors[0].tolist()]
print("trimesh", trimesh.__version__, "stored", colors[0].tolist(), "expected", right, "written", found)
assert found == [0, 0, 0, 255] != right, "the behaviour has changed"
PYTHON
