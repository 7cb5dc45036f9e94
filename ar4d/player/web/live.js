// Views drawn by the server: small while anything moves, full size at rest.

import * as bridge from "ar4d/bridge.js";

const MIN_INTERVAL_MS = 33; // between two questions
const PARALLEL = 2; // questions under way, so that a slow network does not halve the rate
const REST_MS = 160; // without a change, until the full picture is asked for
const COMFORTABLE_MS = 70; // from question to answer, while moving
const MIN_PIXELS = 96 * 96;

export class LiveView {
  constructor(source, onError) {
    this.source = source;
    this.onError = onError;
    this.movingPixels = 256 * 256; // adapts to what this machine and network can do
    this.pending = 0;
    this.sequence = 0;
    this.counts = { asked: 0, shown: 0, late: 0 };
    this.reset();
  }

  reset() {
    this.signature = ""; // of the last question
    this.full = false; // the last question was for full size
    this.changedAt = 0;
    this.askedAt = 0;
    this.shown = this.sequence; // older answers are not shown any more
  }

  /** One animation frame. `want`: {stages, layout, position, mode, clock, camera, background, maxPixels, size, revision}. */
  update(want) {
    const now = performance.now();
    const { stages, mode, camera, size, clock } = want;
    const position = Math.round(want.position * 64) / 64;
    const pose = camera.viewmat.map((value) => value.toFixed(4));
    const signature = JSON.stringify([stages, mode, position, size, want.background, want.revision, pose]);
    const changed = signature !== this.signature;
    if (changed) this.changedAt = now;
    const rest = !clock.playing && now - this.changedAt > REST_MS;
    if (!changed && (this.full || !rest)) return;
    if (this.pending >= (rest ? 1 : PARALLEL) || now - this.askedAt < MIN_INTERVAL_MS) return;
    this.signature = signature;
    this.full = rest;
    this.askedAt = now;
    this.fetch({ ...want, position }, rest);
  }

  async fetch({ stages, layout, position, mode, camera, background, maxPixels, size }, full) {
    const limit = Math.min(full ? maxPixels : this.movingPixels, maxPixels);
    const scale = Math.min(1, Math.sqrt(limit / (size.width * size.height)));
    const [columns, rows] = stages.length === 1 ? [1, 1] : layout === "row" ? [2, 1] : [1, 2];
    const halfTangent = Math.tan((camera.fov * Math.PI) / 360) / rows; // the same focal length in each half
    const sequence = ++this.sequence;
    const start = performance.now();
    this.pending++;
    this.counts.asked++;
    try {
      const answer = await this.source.ask({
        want: "picture",
        stages,
        position,
        mode,
        background,
        viewmat: camera.viewmat,
        layout,
        fov: (Math.atan(halfTangent) * 360) / Math.PI,
        width: Math.max(1, Math.floor((size.width * scale) / columns)),
        height: Math.max(1, Math.floor((size.height * scale) / rows)),
        quality: full ? 92 : 80,
      });
      if (!full) this.adapt(performance.now() - start, maxPixels);
      if (sequence > this.shown) {
        this.shown = sequence;
        this.counts.shown++;
        bridge.setBackground(new Uint8Array(answer, 8), "jpeg");
      } else {
        this.counts.late++;
      }
    } catch (error) {
      this.onError(error);
    } finally {
      this.pending--;
    }
  }

  adapt(milliseconds, maxPixels) {
    const factor = milliseconds > COMFORTABLE_MS ? 0.8 : milliseconds < COMFORTABLE_MS / 2 ? 1.15 : 1;
    this.movingPixels = Math.min(Math.max(this.movingPixels * factor, MIN_PIXELS), maxPixels);
  }
}
