// Time in frames: 0 is the clip's first frame, 2.5 is halfway between the third and the fourth.

export const SPEEDS = [0.1, 0.25, 0.5, 0.75, 1, 1.5, 2, 4];

export class Clock {
  constructor() {
    this.position = 0;
    this.numFrames = 1; // that can be shown
    this.fps = 8;
    this.playing = false;
    this.direction = 1;
    this.speed = 1;
    this.loop = true;
    this.held = 0; // frames that the last one has been shown for, before the loop starts again
  }

  get last() {
    return Math.max(this.numFrames - 1, 0);
  }

  /** Frames per second of real time. */
  get rate() {
    return this.fps * this.speed;
  }

  /** Advances by `seconds` of real time. */
  advance(seconds) {
    if (!this.playing || this.last === 0) return;
    const next = this.position + this.direction * this.rate * seconds;
    if (next >= 0 && next <= this.last) {
      this.position = next;
      return;
    }
    this.position = this.direction > 0 ? this.last : 0;
    if (!this.loop) {
      this.playing = false;
      return;
    }
    this.held += this.rate * seconds; // the last frame takes as long as any other
    if (this.held >= 1) {
      this.held = 0;
      this.position = this.direction > 0 ? 0 : this.last;
    }
  }

  seek(position) {
    this.position = Math.min(Math.max(position, 0), this.last);
    this.held = 0;
  }

  /** Moves to the next whole frame in a direction and stops playing. */
  step(direction) {
    this.playing = false;
    const from = this.position;
    this.seek(direction > 0 ? Math.floor(from + 1e-6) + 1 : Math.ceil(from - 1e-6) - 1);
  }

  play(direction) {
    const end = direction > 0 ? this.last : 0;
    if (!this.loop && this.position === end) this.seek(this.last - end);
    this.direction = direction;
    this.playing = true;
  }

  toggle() {
    if (this.playing) this.playing = false;
    else this.play(1);
  }

  faster(direction) {
    const index = SPEEDS.findIndex((speed) => speed >= this.speed);
    this.speed = SPEEDS[Math.min(Math.max(index + direction, 0), SPEEDS.length - 1)];
  }
}
