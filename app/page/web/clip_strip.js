// The film strip of a source, with two handles that trim the clip.

const STRIP_STYLE = `
  .strip { position: relative; height: 52px; margin: 4px 10px 2px; border-radius: 6px; touch-action: none; }
  .strip canvas { width: 100%; height: 100%; aspect-ratio: auto; object-fit: fill; border-radius: 6px; }
  .shade { position: absolute; top: 0; bottom: 0; background: rgba(20, 20, 28, 0.62); pointer-events: none; }
  .handle {
    position: absolute; top: -3px; bottom: -3px; width: 14px; min-width: 14px; min-height: 0; margin-left: -7px; padding: 0;
    border: 0; border-radius: 5px; background: var(--color-accent); cursor: ew-resize; touch-action: none;
  }
  .handle::after { content: ""; width: 2px; height: 18px; border-radius: 1px; background: #fff; }
  .times {
    display: flex; justify-content: space-between; margin: 0 4px; color: var(--body-text-color-subdued);
    font-size: 12px; font-variant-numeric: tabular-nums;
  }
  @media (max-width: 480px) { .handle { width: 22px; margin-left: -11px; } }
`;
const STRIP_MARKUP = `
  <div class="strip">
    <canvas aria-hidden="true"></canvas><i class="shade left"></i><i class="shade right"></i>
    <button type="button" class="handle start" role="slider" aria-label="Begin of the clip in seconds"></button>
    <button type="button" class="handle end" role="slider" aria-label="End of the clip in seconds"></button>
  </div>
  <div class="times"><span></span><span></span></div>`;

const clamp = (value, low = 0, high = 1) => Math.min(Math.max(value, low), high);

/** Draws picture `index` of a sheet of `count` pictures over a whole canvas. */
function drawTile(canvas, sheet, [width, height], count, index) {
  if (!sheet.complete || !sheet.naturalWidth) return;
  const across = Math.max(1, Math.ceil(Math.sqrt(count)));
  const [x, y] = [(index % across) * width, Math.floor(index / across) * height];
  canvas.getContext("2d").drawImage(sheet, x, y, width, height, 0, 0, canvas.width, canvas.height);
}

class FilmStrip {
  /**
   * `facts` has length, sourceFrames, stripTile, stripCount, start and end; `onMove` gets the number of the strip's
   * picture under a handle that moves, `onTrim` both times in seconds when it is released.
   */
  constructor(root, facts, address, onMove, onTrim) {
    this.root = root;
    this.facts = facts;
    this.onMove = onMove;
    this.onTrim = onTrim;
    this.trim = [facts.start, facts.end];
    this.sheet = Object.assign(new Image(), { src: address, onload: () => this.draw() });
    for (const [index, name] of ["start", "end"].entries()) this.listen(root.querySelector(`.${name}`), index);
    this.show();
  }

  draw() {
    const canvas = this.root.querySelector(".strip canvas");
    const { stripTile, stripCount } = this.facts;
    const [width, height] = stripTile;
    [canvas.width, canvas.height] = [900, 52];
    const across = Math.max(1, Math.ceil(Math.sqrt(stripCount)));
    const each = canvas.width / stripCount;
    const part = Math.min(1, (each / canvas.height) * (height / width)); // the middle of each picture
    for (let k = 0; k < stripCount; k++) {
      const [x, y] = [(k % across) * width + ((1 - part) / 2) * width, Math.floor(k / across) * height];
      canvas.getContext("2d").drawImage(this.sheet, x, y, part * width, height, k * each, 0, each + 1, canvas.height);
    }
  }

  show() {
    const shares = this.trim.map((time) => clamp(time / Math.max(this.facts.length, 1e-6)));
    Object.assign(this.root.querySelector(".shade.left").style, { left: "0", width: `${100 * shares[0]}%` });
    Object.assign(this.root.querySelector(".shade.right").style, { left: `${100 * shares[1]}%`, right: "0" });
    for (const [index, name] of ["start", "end"].entries()) {
      const handle = this.root.querySelector(`.${name}`);
      handle.style.left = `${100 * shares[index]}%`;
      for (const [key, value] of [["valuemin", 0], ["valuemax", this.facts.length], ["valuenow", this.trim[index]]]) handle.setAttribute(`aria-${key}`, Number(value).toFixed(2));
    }
    for (const [index, label] of this.root.querySelectorAll(".times span").entries()) label.textContent = `${index ? "to" : "from"} ${this.trim[index].toFixed(2)} s`;
  }

  listen(handle, index) {
    const { length, sourceFrames, stripCount } = this.facts;
    const least = length / Math.max(sourceFrames, 1);
    const set = (time) => {
      this.trim[index] = index ? clamp(time, this.trim[0] + least, length) : clamp(time, 0, this.trim[1] - least);
      this.show();
      this.onMove(Math.round((this.trim[index] / Math.max(length, 1e-6)) * (stripCount - 1)), this.sheet);
    };
    const done = () => this.onTrim(...this.trim);
    handle.addEventListener("pointerdown", (event) => {
      handle.setPointerCapture(event.pointerId);
      const area = this.root.querySelector(".strip").getBoundingClientRect();
      handle.onpointermove = (moved) => set(((moved.clientX - area.left) / area.width) * length);
      handle.onpointerup = () => {
        handle.onpointermove = handle.onpointerup = null;
        done();
      };
    });
    handle.addEventListener("keydown", (event) => {
      const step = { ArrowLeft: -1, ArrowDown: -1, ArrowRight: 1, ArrowUp: 1 }[event.key];
      if (event.key === "Enter") done();
      if (!step) return;
      event.preventDefault();
      set(this.trim[index] + step * Math.max(least, length / 100));
    });
  }
}
