// The player: the visitor's view of the asset, and the loop that draws it.

import * as bridge from "ar4d/bridge.js";
import { arrange, layoutFor, Pilot } from "ar4d/camera.js";
import { Clock } from "ar4d/clock.js";
import { Controls } from "ar4d/controls.js";
import { Inputs } from "ar4d/inputs.js";
import { LiveView } from "ar4d/live.js";
import { Recorded, Source } from "ar4d/source.js";
import { SplatView } from "ar4d/splats.js";

const IN_THE_WAY = Math.cos((25 * Math.PI) / 180); // closer to the clip's camera than this, its picture would hide the object
const BLACK = Uint8Array.from(atob("iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR4nGNgAAAAAgABSK+kcQAAAABJRU5ErkJggg=="), (c) => c.charCodeAt(0)); // one pixel

const RESTORE_MS = 5000; // for the browser to give a lost WebGL context back
const CONTEXT_LOST = "This device took the 3D graphics away; waiting for them …";
const CONTEXT_GONE = "This device took the 3D graphics away and has not given them back; reload the page to see the object again.";

export class Player {
  /**
   * @param config what the page says about itself (ar4d/player/page.py)
   * @param {URLSearchParams} query of the page's address
   * @param {(sentence: string) => void} fail shows a sentence in place of the object
   */
  constructor(config, query, fail) {
    this.query = query;
    this.fail = fail;
    this.state = null;
    this.clock = new Clock();
    this.pilot = new Pilot();
    this.stage = ""; // the name of a stage, or "compare"
    this.halves = ["", ""]; // the stages that are compared
    this.chosen = false; // the visitor chose the stage; else the newest result is shown
    this.following = true; // shows the newest frame, until the visitor moves in time
    this.mode = "rgb";
    this.live = false;
    this.showInput = true;
    this.showFrustum = false;
    this.showFloor = false;
    this.started = false;
    this.lost = false;
    this.drawn = {}; // the last values sent to viser, by part

    this.source = this.open(config);
    const say = (error) => this.controls.say(error.message);
    this.inputs = new Inputs(this.source);
    this.splats = new SplatView(this.source, say);
    this.pictures = new LiveView(this.source, say);
    this.controls = new Controls(this, config);
    this.told = -1; // the frame that the surrounding page was last told of
    window.addEventListener("message", ({ data }) => {
      if (this.state && Number.isFinite(data?.ar4dSeek)) this.scrub(data.ar4dSeek);
    });
    this.then = performance.now();
    requestAnimationFrame((now) => this.frame(now));
  }

  /** The recording in the page, or the server beside it. */
  open(config) {
    const state = (state) => this.setState(state);
    const inside = document.getElementById("ar4d-recording");
    if (inside) return new Recorded(JSON.parse(inside.textContent), { state, broken: this.fail });
    const address = new URL(config.stream, document.baseURI).href.replace(/^http/, "ws");
    return new Source(address, {
      state,
      lost: () => {
        this.lost = true;
        this.controls.say("The connection was lost; reconnecting …");
      },
      closed: () => location.reload(), // the server then explains why
    });
  }

  /** The names of the stages that have a result. */
  available() {
    return this.state.stages.filter(({ limit }) => limit !== null).map(({ name }) => name);
  }

  setState(state) {
    const first = this.state === null;
    const ended = state.finished && !this.state?.finished;
    if (this.state?.revision !== state.revision) this.splats.forget();
    this.state = state;
    this.pilot.elevation = state.elevation;
    this.clock.fps = state.fps;
    if (first) this.live = state.live;
    if (this.lost) this.controls.say("");
    this.lost = false;
    this.settle(first, ended);
    this.inputs.load(state.inputs);
    if (state.recorded && this.source instanceof Source) this.source.fetchRecording(state).catch((error) => this.controls.say(error.message));
    this.controls.setState(state);
  }

  /** Shows the newest result, or of a finished run the one closest to the clip, unless the visitor chose another one. */
  settle(first, ended) {
    const available = this.available();
    const newest = available.at(-1) ?? "";
    const best = available.includes(this.state.best) ? this.state.best : newest;
    if (!this.chosen) this.stage = best;
    if (!this.chosen || !available.includes(this.halves[0])) this.halves[0] = available.at(-2) ?? newest;
    if (this.halves[1] !== newest && (!available.includes(this.halves[1]) || !this.chosen)) this.halves[1] = newest;
    if (this.halves[0] === this.halves[1] && available.length > 1) this.halves[0] = available.at(-2);
    this.clock.numFrames = this.limit() + 1;
    this.clock.seek(this.clock.position);
    if (this.state.finished) {
      if (ended && !this.chosen && this.following && this.playsByItself()) this.play(() => this.clock.play(1));
    } else if (this.following && !first) {
      this.clock.seek(this.state.newest);
    }
  }

  /** As the address says (?autoplay, ?autoplay=0); else unless the visitor's system asks for less motion. */
  playsByItself() {
    const asked = this.query.get("autoplay");
    if (asked !== null) return !["0", "false"].includes(asked);
    return !matchMedia("(prefers-reduced-motion: reduce)").matches;
  }

  /** The last position in time. */
  limit() {
    const { framesDone, finished, numFrames } = this.state;
    return Math.max((finished ? numFrames : framesDone) - 1, 0);
  }

  /** Runs an action of the visitor on the clock. */
  play(action) {
    this.following = false;
    action();
    if (!this.state.finished && this.clock.position === this.state.newest && !this.clock.playing) this.following = true;
  }

  scrub(position) {
    this.clock.playing = false;
    this.play(() => this.clock.seek(position));
    if (this.started) this.draw(); // asks at once, before the next animation frame
  }

  setStage(stage) {
    const available = this.available();
    if (stage === "compare" ? available.length < 2 : !available.includes(stage)) return;
    this.stage = stage;
    this.chosen = true;
  }

  setHalf(index, stage) {
    this.halves[index] = stage;
    this.chosen = true;
  }

  setLive(live) {
    this.live = live;
    this.drawn = {};
    this.splats.reset();
    this.pictures.reset();
  }

  /** Sets the colour behind the object; "" is the theme's own. Pictures by the server get it as well. */
  setBackdrop(color) {
    document.body.style.background = color;
    document.body.dataset.ink = color === "" ? "" : color === "#000000" ? "light" : "dark"; // of what is written on it
  }

  stages() {
    if (this.stage === "compare") return this.halves;
    return this.available().includes(this.stage) ? [this.stage] : [];
  }

  /** The present view for the page around the viewer: camera, stage, and the moment in frames; null before the first picture. */
  view() {
    if (!this.started) return null;
    const { clock, stage } = this;
    return { ...bridge.camera(), stage, frame: clock.position, numFrames: clock.numFrames, playing: clock.playing };
  }

  /** Shows a view that the page asks for: a camera at `position` that looks at `target`, and a moment in frames if one is given. */
  look({ position, target, frame }) {
    this.pilot.release();
    bridge.lookFrom(position, target);
    if (frame !== undefined) this.scrub(frame);
  }

  frame(now) {
    requestAnimationFrame((later) => this.frame(later));
    const seconds = Math.min((now - this.then) / 1000, 0.25);
    this.then = now;
    if (!bridge.ready() || !this.state) return;
    if (!this.started) this.start();
    if (this.shows()) this.clock.advance(seconds);
    const { aspect } = bridge.camera();
    this.pilot.update(seconds, aspect, layoutFor(this.stages().length, aspect));
    this.draw();
    this.controls.update();
    this.tell();
  }

  /** Whether anything of the object was drawn; until then the clock stands still, so that nothing of the motion is missed. */
  shows() {
    return this.splats.counts.shown + this.pictures.counts.shown > 0;
  }

  /** Tells the surrounding page which frame is shown. */
  tell() {
    const frame = Math.round(this.clock.position);
    if (window.parent === window || frame === this.told) return;
    this.told = frame;
    window.parent.postMessage({ ar4dFrame: frame }, "*");
  }

  /** viser is ready for the first time. */
  start() {
    this.started = true;
    this.setLive(this.live);
    bridge.hideCrosshair();
    this.pilot.arrive();
    this.pilot.turntable = this.query.has("turntable");
    const release = () => this.pilot.release();
    for (const event of ["pointerdown", "wheel"]) bridge.canvas().addEventListener(event, release, { capture: true, passive: true });
    this.watchContext();
  }

  /** Says that the device has taken WebGL's context away, and shows everything again when it is back. */
  watchContext() {
    let waiting = 0;
    bridge.canvas().addEventListener("webglcontextlost", () => {
      this.controls.setFailure(CONTEXT_LOST);
      waiting = setTimeout(() => this.controls.setFailure(CONTEXT_GONE), RESTORE_MS);
    });
    bridge.canvas().addEventListener("webglcontextrestored", () => {
      clearTimeout(waiting);
      this.controls.setFailure("");
      this.setLive(this.live); // sends everything again
    });
  }

  draw() {
    const stages = this.stages();
    const camera = bridge.camera();
    const layout = layoutFor(stages.length, camera.aspect);
    const want = { stages, layout: layout ?? "row", camera, ...this.want(camera) };
    this.change("layout", layout, () => this.controls.setHalves(layout));
    this.change("visible", !this.live, (visible) => [bridge.LEFT, bridge.RIGHT].forEach((name) => bridge.setVisible(name, visible)));
    if (this.live) {
      if (stages.length) this.pictures.update(want);
    } else {
      this.change("poses", layout ? camera.viewmat.join() + camera.aspect + layout : "", () => arrange(camera, layout));
      this.change("background", this.mode === "alpha", (black) => bridge.setBackground(black ? BLACK : null, "png"));
      this.splats.update(want);
    }
    this.change("floor", this.showFloor && !this.live && !layout ? this.splats.lowest() : null, bridge.setFloor);
    this.drawInput(camera, layout);
  }

  want(camera) {
    const { clock, mode, state } = this;
    const box = bridge.canvas().getBoundingClientRect();
    const ratio = Math.min(devicePixelRatio, 2);
    return {
      position: clock.position,
      clock,
      mode,
      revision: state.revision,
      limits: Object.fromEntries(state.stages.map(({ name, limit }) => [name, limit ?? 0])),
      depth: depthScale(camera, state),
      background: rgb(getComputedStyle(document.body).backgroundColor),
      maxPixels: state.maxPixels,
      size: { width: Math.round(box.width * ratio), height: Math.round(box.height * ratio) },
    };
  }

  drawInput({ position }, layout) {
    const { clock, pilot, inputs } = this;
    this.controls.setInput(this.showInput, clock.position);
    this.change("reference", pilot.elevation, () => bridge.placeReference(pilot.reference(), pilot.elevation));
    const along = cosine(position, pilot.reference());
    this.change("frustum", this.showFrustum && !layout && along < IN_THE_WAY, bridge.setReferenceVisible);
    const file = inputs.files[Math.min(Math.round(clock.position), inputs.count - 1)];
    if (file && this.drawn.frustum) this.change("picture", file, bridge.setReferencePicture);
  }

  /** Sends a value to viser if it has changed. */
  change(part, value, send) {
    if (this.drawn[part] === value) return;
    this.drawn[part] = value;
    send(value);
  }
}

/** The colours of splats by depth: the row of the camera that gives the depth, and its colours (0xBBGGRR). */
function depthScale({ viewmat }, { extent, depthColors }) {
  const scale = 32; // WORLD_SCALE of ar4d/player/packing.py
  const row = [viewmat[8] / scale, viewmat[9] / scale, viewmat[10] / scale, viewmat[11]];
  const color = (depth) => {
    const nearness = 0.5 + (0.5 * (viewmat[11] - depth)) / extent;
    const at = Math.min(Math.max(nearness, 0), 1) * (depthColors.length - 1);
    const i = Math.min(Math.floor(at), depthColors.length - 2);
    const mix = (channel) => Math.round(depthColors[i][channel] + (at - i) * (depthColors[i + 1][channel] - depthColors[i][channel]));
    return mix(0) | (mix(1) << 8) | (mix(2) << 16);
  };
  return { row, color };
}

function cosine(a, b) {
  return a.reduce((sum, value, i) => sum + value * b[i], 0) / (Math.hypot(...a) * Math.hypot(...b));
}

function rgb(css) {
  return css.match(/[\d.]+/g).slice(0, 3).map((value) => Number(value) / 255);
}
