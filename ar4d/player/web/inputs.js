// The clip's frames, fetched one after another and cached.

export class Inputs {
  constructor(source) {
    this.source = source;
    this.files = []; // PNG or WebP, by frame
    this.bitmaps = [];
    this.count = 0;
  }

  /** Fetches `count` frames in the background, from the first one on. */
  async load(count) {
    if (count === this.count) return;
    this.count = count;
    [this.files, this.bitmaps] = [[], []];
    for (let frame = 0; frame < count && this.count === count; frame++) {
      try {
        const data = await this.source.input(frame);
        this.bitmaps[frame] = await createImageBitmap(new Blob([data]));
        this.files[frame] = data;
      } catch {
        this.count = 0; // the connection is lost; the next state starts this again
      }
    }
  }

  /** Draws a frame into a canvas; returns false if it has not arrived yet. */
  draw(canvas, frame) {
    const bitmap = this.bitmaps[Math.min(frame, this.count - 1)];
    if (!bitmap) return false;
    if (canvas.drawn !== bitmap) {
      const context = canvas.getContext("2d");
      context.clearRect(0, 0, canvas.width, canvas.height);
      context.drawImage(bitmap, 0, 0, canvas.width, canvas.height);
      canvas.drawn = bitmap;
    }
    return true;
  }
}
