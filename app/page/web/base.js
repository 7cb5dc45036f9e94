// The viewer beside the steps, as the result's elements use it: its camera, and what is drawn over it.

/** The viewer of the shown run; null while it is not ready. */
function shownViewer() {
  const frame = /** @type {HTMLIFrameElement | null} */ (document.querySelector("iframe.viewer"));
  try {
    return frame?.contentWindow?.ar4d?.view ? { frame, player: frame.contentWindow.ar4d } : null;
  } catch {
    return null; // a page of another origin
  }
}

/** The viewer's present view; null while it shows nothing. */
function presentView() {
  return shownViewer()?.player.view() ?? null;
}

/** Pauses the viewer, as while a clip is prepared. */
function pauseViewer() {
  const player = shownViewer()?.player;
  if (player?.state) player.play(() => { player.clock.playing = false; });
}

const AR4D_DEGREES = 180 / Math.PI;

/** A view as a key frame of ar4d.formats.CameraKey; the target is the point of the line of sight nearest to the object's centre. */
function keyOfView({ position: p, viewmat: v, fov }) {
  const forward = v.slice(8, 11);
  const reach = Math.max(-(p[0] * forward[0] + p[1] * forward[1] + p[2] * forward[2]), 0.2);
  const target = p.map((value, axis) => value + reach * forward[axis]);
  const round = (value, digits) => Number(value.toFixed(digits));
  return {
    azimuth_deg: round(Math.atan2(-forward[0], -forward[2]) * AR4D_DEGREES, 2),
    elevation_deg: round(Math.asin(Math.max(-1, Math.min(1, -forward[1]))) * AR4D_DEGREES, 2),
    radius: round(reach, 4),
    target: Math.hypot(...target) < 0.02 ? [0, 0, 0] : target.map((value) => round(value, 4)),
    fov_y_deg: round(fov, 3),
  };
}

/** The moment of a view in [0, 1]. */
function timeOfView({ frame, numFrames }) {
  return numFrames > 1 ? Math.min(Math.max(frame / (numFrames - 1), 0), 1) : 0;
}

/** Shows a key frame in the viewer. */
function lookAlong({ azimuth_deg, elevation_deg, radius, target, time }) {
  const shown = shownViewer();
  if (!shown) return;
  const a = azimuth_deg / AR4D_DEGREES;
  const e = elevation_deg / AR4D_DEGREES;
  const outward = [Math.cos(e) * Math.sin(a), Math.sin(e), Math.cos(e) * Math.cos(a)];
  const position = outward.map((value, axis) => target[axis] + radius * value);
  const { numFrames } = shown.player.view() ?? { numFrames: 1 };
  shown.player.look({ position, target, frame: time == null ? undefined : time * (numFrames - 1) });
}

/** Asks the server; throws an `Error` with one sentence if it refuses. */
async function askServer(address, method = "GET", body = undefined) {
  let answer;
  try {
    const content = body === undefined ? {} : { body: JSON.stringify(body), headers: { "Content-Type": "application/json" } };
    answer = await fetch(address, { method, ...content });
  } catch {
    throw new Error("The server cannot be reached; check the connection and try again.");
  }
  const data = await answer.json().catch(() => ({ error: "The server's answer could not be read; try again." }));
  if (!answer.ok || data.error) throw new Error(data.error || "This did not work; try again.");
  return data;
}

function megabytes(bytes) {
  if (bytes >= 1e8) return `${Math.round(bytes / 1e6)} MB`;
  return bytes >= 1e5 ? `${(bytes / 1e6).toFixed(1)} MB` : `${Math.max(1, Math.round(bytes / 1e3))} kB`;
}

/** An element with attributes and children; texts are texts, never HTML. */
function build(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (value === true) element.setAttribute(name, "");
    else if (value !== false && value != null) element.setAttribute(name, String(value));
  }
  element.append(...children.filter((child) => child != null));
  return element;
}

// What all of the result's elements look like; each has a shadow tree, because Gradio patches the page's own.
const RESULT_STYLE = `
  :host { display: block; font-size: 13.5px; }
  * { box-sizing: border-box; }
  [hidden] { display: none !important; }
  button, select, input { font: inherit; color: inherit; }
  button {
    min-height: 32px; padding: 0 12px; border: 1px solid var(--border-color-primary); border-radius: 8px;
    background: var(--block-background-fill); cursor: pointer;
  }
  button:hover:not(:disabled) { border-color: var(--color-accent); }
  button:disabled { color: var(--body-text-color-subdued); cursor: default; }
  button.primary { border-color: transparent; background: var(--button-primary-background-fill); color: #fff; font-weight: 550; }
  button.quiet { border-color: transparent; background: none; }
  select, input:is([type=text], [type=number]) {
    width: 100%; min-width: 0; height: 32px; padding: 0 8px; border: 1px solid var(--border-color-primary);
    border-radius: 7px; background: var(--input-background-fill);
  }
  input[type=checkbox], input[type=range] { accent-color: var(--color-accent); }
  input[type=color] { width: 36px; height: 32px; padding: 2px; border: 1px solid var(--border-color-primary); border-radius: 7px; background: none; }
  progress { flex: 1; min-width: 60px; height: 7px; accent-color: var(--color-accent); }
  .subdued { color: var(--body-text-color-subdued); font-size: 12.5px; }
  .row { display: flex; flex-wrap: wrap; gap: 8px; align-items: center; }
  .error { margin: 0; color: #b3261e; font-size: 12.5px; }
  :host-context(.dark) .error { color: #ff9a92; }
  :is(button, select, input, summary):focus-visible { outline: 2px solid var(--color-accent); outline-offset: 2px; }
  @media (max-width: 960px), (pointer: coarse) {
    button, select, input:is([type=text], [type=number]) { min-height: 44px; }
    summary { padding-block: 13px !important; }
  }
`;
