// The only module that knows the inside of viser's client.
//
// viser draws the scene and moves the camera. The messages sent here, which are those of its server, decide
// what it draws. It starts with an empty scene that the page holds, and needs no server. Its queue and
// camera are reachable for tests (`__viserMutable`, `__viserSceneTree`). The version is pinned, and
// tests/player detects a change.

export const LEFT = "/left";
export const RIGHT = "/right";
const REFERENCE = "/reference";
const FLOOR = "/floor";

// What viser's shaders say, and what they have to say. Its own limit drops every splat whose footprint is
// below about a pixel, which are most of them in a small or distant view. Half precision, which "mediump"
// is on many phones, is too coarse for covariances.
/** @type {[RegExp, string][]} */
const SHADERS = [
  [/if\s*\(\s*weightedDeterminant\s*<\s*0?\.25\s*\)/, "if (vRgba.a < 1.0 / 255.0)"],
  [/(precision highp usampler2D;[^\n]*\s*)precision mediump float;/, "$1precision highp float;"],
];

const mutable = () => window.__viserMutable;
const nodes = () => window.__viserSceneTree.getState();

/** Whether this browser can draw: viser needs WebGL 2. */
export function supported() {
  return Boolean(document.createElement("canvas").getContext("webgl2"));
}

/**
 * Starts viser's client.
 * @param {string} scene viser's serialized scene in base64
 * @param {HTMLScriptElement} client viser's loader, which finds the client in its own attributes
 */
export function start(scene, client) {
  repairShaders();
  repairSorter();
  repairBounds();
  Object.assign(window, { __VISER_EMBED_DATA__: scene, __VISER_EMBED_CONFIG__: { darkMode: false } });
  const script = document.createElement("script");
  Object.assign(script.dataset, client.dataset);
  script.textContent = client.textContent;
  document.head.append(script);
}

function repairShaders() {
  const { prototype } = WebGL2RenderingContext;
  const { shaderSource } = prototype;
  prototype.shaderSource = function (shader, text) {
    shaderSource.call(this, shader, SHADERS.reduce((source, [old, now]) => source.replace(old, now), text));
  };
}

/**
 * viser sorts its splats in a module worker that it starts from a blob. Browsers refuse that to a page opened
 * from disk or in a sandbox, and the splats silently stay in the order of the file. If the constructor refuses
 * a blob, viser's client starts the same worker from a data address.
 */
function repairSorter() {
  if (origin !== "null") return;
  window.Worker = class extends Worker {
    constructor(address, options) {
      if (String(address).startsWith("blob:")) throw new Error("This page cannot start a worker from a blob.");
      super(address, options);
    }
  };
}

/**
 * The corners of viser's splats have two coordinates, of which three.js computes a bounding sphere of NaN and
 * reports an error. They get one that holds everything, because splats are never out of view as a whole.
 */
function repairBounds() {
  let value;
  const set = (now) => {
    value = now;
    now.scene.onBeforeRender = () => {
      for (const { geometry } of now.scene.children) {
        if (!geometry?.attributes.sortedIndex || geometry.boundingSphere) continue;
        const empty = new geometry.constructor();
        empty.computeBoundingSphere();
        geometry.boundingSphere = Object.assign(empty.boundingSphere, { radius: Infinity });
      }
    };
  };
  Object.defineProperty(window, "__viserMutable", { get: () => value, set, configurable: true });
}

/** Whether viser is ready to show something. */
export function ready() {
  if (!mutable()?.cameraControl || !mutable().camera) return false;
  if (!mutable().canvas?.clientWidth || !(mutable().camera.aspect > 0)) return false; // a hidden frame has no size
  return [LEFT, RIGHT, REFERENCE, FLOOR].every((name) => nodes()[name]?.message);
}

export function canvas() {
  return mutable().canvas;
}

/** How many pictures viser has drawn. */
export function pictures() {
  return window.__viserTestpoints.rendererInfo.render.frame;
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

/** Places the clip's camera at an elevation in degrees, looking at the origin. */
export function placeReference(position, elevation) {
  const half = (Math.PI - (elevation * Math.PI) / 180) / 2; // about x to OpenCV's axes: y down, z into the scene
  send({ type: "SetOrientationMessage", name: REFERENCE, owner: "", wxyz: [Math.cos(half), Math.sin(half), 0, 0] });
  send({ type: "SetPositionMessage", name: REFERENCE, owner: "", position });
}

/** Sets the picture (a PNG) of the reference camera. */
export function setReferencePicture(data) {
  send({ type: "SceneNodeUpdateMessage", name: REFERENCE, owner: "", updates: { _image_data: data, _format: "png" } });
}

export function setReferenceVisible(visible) {
  setVisible(REFERENCE, visible);
}

/** Shows the grid at a height of our world; null hides it. */
export function setFloor(height) {
  if (height !== null) send({ type: "SetPositionMessage", name: FLOOR, owner: "", position: [0, height, 0] });
  setVisible(FLOOR, height !== null);
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
