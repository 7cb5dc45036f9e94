// Splats in the browser: which to fetch, which to show, and in which colours.

import * as bridge from "ar4d/bridge.js";
import { Cache } from "ar4d/source.js";

const CACHE_BYTES = 96 << 20;
const SMOOTH_FPS = 30; // changes per second that look like motion
const MAX_STEPS = 32; // between two frames, in slow motion
const AHEAD = 3; // parallel questions while playing; otherwise one per side
const AHEAD_SECONDS = 1.5;
const NOTHING = new Uint32Array(8);
const WORLD_SCALE = 32; // WORLD_SCALE of ar4d/player/packing.py
const OPAQUE = 128; // of 255: fainter splats do not stand on a floor

export class SplatView {
  /** @param {(error: Error) => void} onError */
  constructor(source, onError) {
    this.source = source;
    this.onError = onError;
    this.cache = new Cache(CACHE_BYTES);
    this.pending = new Map(); // key → {stage, position}
    this.sides = { [bridge.LEFT]: {}, [bridge.RIGHT]: {} }; // what each shows: {key, stage, position, look}
    this.floor = null; // height of the lowest opaque splat
    this.failedAt = 0;
    this.latency = 0; // seconds from question to answer, smoothed
    this.counts = { requested: 0, asked: 0, shown: 0, late: 0 };
  }

  /** Shows everything again, after a new connection or a change of renderer. */
  reset() {
    this.sides = { [bridge.LEFT]: {}, [bridge.RIGHT]: {} };
  }

  forget() {
    this.cache.clear();
    this.reset();
    this.floor = null;
  }

  /** Height below which no opaque splat lay when it was first asked for; null before there are splats. */
  lowest() {
    const { buffer } = this.sides[bridge.LEFT];
    if (this.floor === null && buffer) {
      const means = new Float32Array(buffer.buffer, buffer.byteOffset, buffer.length);
      this.floor = Infinity;
      for (let i = 0; i < buffer.length; i += 8) if (buffer[i + 7] >>> 24 >= OPAQUE) this.floor = Math.min(this.floor, means[i + 1] / WORLD_SCALE);
    }
    return Number.isFinite(this.floor) ? this.floor : null;
  }

  /** One animation frame. `want`: {stages, position, clock, mode, revision, limits, depth}. */
  update(want) {
    this.want = want;
    [bridge.LEFT, bridge.RIGHT].forEach((name, i) => this.show(name, want.stages[i]));
    const parallel = want.clock.playing ? AHEAD : want.stages.length;
    if (performance.now() < this.failedAt + 1000) return;
    while (this.pending.size < parallel && !want.stages.every((stage) => this.source.holds(stage) || this.source.expects(stage))) {
      const next = this.nextQuestion();
      if (!next) return;
      this.fetch(next);
    }
  }

  /** The question for a stage at a position, rounded to the steps that motion needs and limited to what exists. */
  key(stage, position) {
    const { clock, limits, revision } = this.want;
    const ideal = clock.playing ? SMOOTH_FPS / clock.rate : 16;
    const steps = Math.min(2 ** Math.ceil(Math.log2(Math.max(ideal, 1))), MAX_STEPS);
    const exact = Math.min(Math.round(position * steps) / steps, limits[stage]);
    return { stage, position: exact, key: `${revision}/${stage}/${exact}` };
  }

  nextQuestion() {
    const { stages, position, clock } = this.want;
    const here = (stage) => this.source.holds(stage) || this.source.expects(stage);
    const missing = ({ stage, key }) => !here(stage) && !this.cache.has(key) && !this.pending.has(key);
    const [first, last] = clock.playing ? [this.latency, this.latency + AHEAD_SECONDS] : [0, 0];
    for (let ahead = Math.floor(first * SMOOTH_FPS); ahead <= last * SMOOTH_FPS; ahead++) {
      let at = position + (clock.direction * ahead * clock.rate) / SMOOTH_FPS;
      if (at < 0 || at > clock.last) {
        if (!clock.loop) return null;
        at = (((at % clock.last) + clock.last) % clock.last) || 0; // the loop continues at its start
      }
      for (const stage of stages) {
        const question = this.key(stage, at);
        if (missing(question)) return question;
      }
    }
    return null;
  }

  async fetch({ stage, position, key }) {
    this.pending.set(key, { stage, position });
    this.counts.asked++;
    const start = performance.now();
    try {
      const buffer = await this.source.splats(stage, position);
      this.latency += 0.2 * (Math.min((performance.now() - start) / 1000, AHEAD_SECONDS) - this.latency);
      this.cache.set(key, buffer);
      this.arrived(stage, position, key);
    } catch (error) {
      this.failedAt = performance.now();
      this.onError(error);
    } finally {
      this.pending.delete(key);
    }
  }

  /** While scrubbing, the position may have changed; the answer is shown if it is nearer than the current one. */
  arrived(stage, position, key) {
    if (!this.want.clock.playing && key !== this.key(stage, this.want.position).key) this.counts.late++;
    [bridge.LEFT, bridge.RIGHT].forEach((name, i) => {
      if (this.want.stages[i] !== stage || !key.startsWith(`${this.want.revision}/`)) return;
      const shown = this.sides[name];
      const target = Math.min(this.want.position, this.want.limits[stage]);
      const nearer = Math.abs(position - target) < Math.abs(shown.position - target);
      if (shown.stage !== stage || nearer) this.put(name, { stage, position, key });
    });
  }

  show(name, stage) {
    const shown = this.sides[name];
    if (!stage) {
      if (shown.key === "nothing") return;
      this.sides[name] = { key: "nothing" };
      bridge.setSplats(name, NOTHING);
      return;
    }
    if (this.source.holds(stage)) return this.compute(name, stage);
    const now = this.key(stage, this.want.position);
    if (now.key !== shown.requested) this.counts.requested++;
    shown.requested = now.key;
    if (this.cache.has(now.key)) this.put(name, now);
    else if (shown.key && shown.key !== "nothing") this.put(name, shown); // its colours may have changed
  }

  /** Shows the exact position of a stage that the source holds. */
  compute(name, stage) {
    const position = Math.min(this.want.position, this.want.limits[stage]);
    const key = `${this.want.revision}/${stage}/${position}`;
    const shown = this.sides[name];
    const buffer = shown.key === key ? shown.buffer : this.source.evaluate(stage, position);
    this.put(name, { stage, position, key, buffer });
  }

  put(name, { stage, position, key, buffer = this.cache.get(key) }) {
    const { mode, depth } = this.want;
    const look = mode === "depth" ? `depth ${depth.row}` : mode;
    const shown = this.sides[name];
    if (shown.key === key && shown.look === look) return;
    if (!buffer) return; // dropped from a full cache
    this.sides[name] = { stage, position, key, look, requested: shown.requested, buffer };
    this.counts.shown++;
    bridge.setSplats(name, mode === "rgb" ? buffer : recolour(buffer, mode, depth));
  }
}

/**
 * The same splats in the colours of a mode. Alpha: white, blended over black. Depth: a colour for each
 * splat's distance along the view, so that blending averages colours, not depths.
 */
function recolour(buffer, mode, depth) {
  const result = buffer.slice();
  const means = new Float32Array(buffer.buffer, buffer.byteOffset, buffer.length);
  for (let i = 0; i < buffer.length; i += 8) {
    let rgb = 0xffffff;
    if (mode === "depth") {
      const [x, y, z, offset] = depth.row; // depth = row · (centre, 1), in the buffer's units
      const value = x * means[i] + y * means[i + 1] + z * means[i + 2] + offset;
      rgb = depth.color(value);
    }
    result[i + 7] = (buffer[i + 7] & 0xff000000) | rgb;
  }
  return result;
}
