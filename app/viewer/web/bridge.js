// The only module that knows the inside of viser's client.
//
// viser draws the scene and moves the camera. The messages sent here, which are those of its server, decide
// what it draws. Its queue and camera are reachable for tests (`__viserMutable`, `__viserSceneTree`). The
// version is pinned, and tests/app/test_viewer.py detects a change.

export const LEFT = "/left";
export const RIGHT = "/right";
const REFERENCE = "/reference";

const mutable = () => window.__viserMutable;
const nodes = () => window.__viserSceneTree.getState();

/** A value that changes with each connection to the viser server; null while nothing can be shown. */
export function connection() {
  if (!mutable()?.cameraControl || !mutable().camera) return null;
  if (!mutable().canvas?.clientWidth || !(mutable().camera.aspect > 0)) return null; // a hidden frame has no size
  if (![LEFT, RIGHT, REFERENCE].every((name) => nodes()[name]?.message)) return null;
  return mutable().sendMessage;
}

export function canvas() {
  return mutable().canvas;
}

/** Hides the cross at the point that the camera turns about. */
export function hideCrosshair() {
  window.__viserTestpoints.devSettings.set({ enableOrbitCrosshair: false });
}

function send(message) {
  mutable().messageQueue.push(message);
  mutable().requestRender();
}

/** Replaces the splats of a node at once, so that the next picture shows them. */
export function setSplats(name, buffer) {
  send({ type: "SceneNodeUpdateMessage", name, owner: "", updates: { buffer } });
  mutable().drainMessageQueue?.();
}

/**
 * Gives a node any affine transform; viser's own poses are rotations and translations only.
 * @param {number[][]} rows three rows of four numbers
 */
export function setTransform(name, rows) {
  const node = mutable().nodeRefFromName[name];
  if (!node) return;
  node.matrixAutoUpdate = false;
  node.updateMatrix = () => {}; // viser calls it whenever the node's buffer changes
  node.matrix.set(...rows.flat(), 0, 0, 0, 1);
  node.updateMatrixWorld(true);
  mutable().requestRender();
}

export function setVisible(name, visible) {
  send({ type: "SetSceneNodeVisibilityMessage", name, owner: "", visible });
}

/** Sets the picture (a PNG) of the reference camera. */
export function setReferencePicture(data) {
  send({ type: "SceneNodeUpdateMessage", name: REFERENCE, owner: "", updates: { _image_data: data, _format: "png" } });
}

export function setReferenceVisible(visible) {
  setVisible(REFERENCE, visible);
}

/** Fills the window with a picture behind the splats; null removes it. */
export function setBackground(data, format) {
  send({ type: "BackgroundImageMessage", format, rgb_data: data, depth_data: null });
}

/** Rows of the rotation from our world (y up, see ar4d/cameras.py) to three.js's. */
function worldRotation() {
  const [w, x, y, z] = mutable().nodePoseData[""].wxyz;
  return [
    [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
    [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
    [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
  ];
}

/**
 * The visitor's camera.
 * @returns {{viewmat: number[], position: number[], fov: number, aspect: number}} world to camera row by
 *   row with OpenCV's axes (x right, y down, z forward), the centre in our world, the vertical field
 *   of view in degrees, and width / height.
 */
export function camera() {
  const { matrixWorldInverse, fov, aspect } = mutable().camera;
  const m = matrixWorldInverse.elements; // column by column, OpenGL's axes
  const world = worldRotation();
  const viewmat = [];
  for (let row = 0; row < 3; row++) {
    const sign = row === 0 ? 1 : -1;
    const inThree = [m[row], m[row + 4], m[row + 8]];
    for (let column = 0; column < 3; column++) {
      viewmat.push(sign * (inThree[0] * world[0][column] + inThree[1] * world[1][column] + inThree[2] * world[2][column]));
    }
    viewmat.push(sign * m[row + 12]);
  }
  viewmat.push(0, 0, 0, 1);
  const v = viewmat;
  const position = [0, 1, 2].map((i) => -(v[i] * v[3] + v[i + 4] * v[7] + v[i + 8] * v[11]));
  return { viewmat, position, fov, aspect };
}

/** Places the camera at `position` in our world, looking at `target`. */
export function lookFrom(position, target = [0, 0, 0]) {
  const rotation = worldRotation();
  const inThree = (point) => rotation.map((row) => row[0] * point[0] + row[1] * point[1] + row[2] * point[2]);
  mutable().cameraControl.setLookAt(...inThree(position), ...inThree(target), false);
}

/** Turns the camera about the point it looks at, in radians to the right. */
export function turn(angle) {
  mutable().cameraControl.rotate(angle, 0, false);
}
