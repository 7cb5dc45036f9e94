// <ar4d-cutout>: the video beside its cut-out, frame by frame. A box drawn on the video corrects the cut-out.

const BACKGROUNDS = ["checks", "white", "black"];

const STYLE = `
  :host { display: block; }
  .pair { display: grid; grid-template-columns: 1fr 1fr; gap: 10px; }
  figure { margin: 0; }
  canvas {
    display: block; box-sizing: border-box; width: 100%; aspect-ratio: 1; object-fit: contain;
    border: 1px solid var(--border-color-primary); border-radius: 10px; background: var(--background-fill-secondary);
  }
  .whole { cursor: crosshair; touch-action: none; }
  figcaption {
    display: flex; justify-content: space-between; align-items: center; height: 26px; padding: 0 2px;
    font-size: 12.5px; font-weight: 550;
  }
  figcaption span { color: var(--body-text-color-subdued); font-weight: 400; }
  .scrub { display: flex; align-items: center; gap: 10px; height: 34px; }
  .scrub input { flex: 1; min-width: 0; accent-color: var(--color-accent); }
  .scrub output {
    min-width: 92px; color: var(--body-text-color-subdued); font-size: 12.5px; text-align: right;
    font-variant-numeric: tabular-nums;
  }
  button {
    display: inline-grid; place-items: center; min-width: 30px; height: 28px; padding: 0;
    border: 1px solid var(--border-color-primary); border-radius: 7px; background: var(--block-background-fill);
    color: inherit; font: inherit; font-size: 12.5px; cursor: pointer;
  }
  .play { width: 34px; font-size: 10px; }
  .unbox { height: 22px; padding: 0 8px; }
  .ground { height: 22px; border: 0; font-size: 15px; }
  [hidden] { display: none; }
  :is(button, input, canvas):focus-visible { outline: 2px solid var(--color-accent); outline-offset: 2px; }
  @media (max-width: 480px) { figcaption span { display: none; } }
`;
const LABEL =
  "The video. Drag a box around the subject; or arrow keys move the box, shift and arrows resize it, enter applies it.";

// Its content lies in a shadow tree, because Gradio patches the page's other elements in place.
class Cutout extends HTMLElement {
  static observedAttributes = ["data-facts", "data-whole", "data-cutout"];

  connectedCallback() {
    this.attachShadow({ mode: "open" });
    this.background = 0;
    this.build();
  }

  attributeChangedCallback() {
    if (!this.shadowRoot || this.changing) return;
    this.changing = true;
    queueMicrotask(() => {
      this.changing = false;
      this.build();
    });
  }

  build() {
    const data = this.dataset;
    const root = this.shadowRoot;
    this.stop();
    this.facts = JSON.parse(data.facts);
    this.box = this.facts.box;
    root.innerHTML = `<style>${STYLE}</style>
      <div class="pair">
        <figure>
          <canvas class="whole" tabindex="0" role="application" aria-label="${LABEL}"></canvas>
          <figcaption>Video <span>drag a box to correct</span><button type="button" class="unbox">Remove the box</button></figcaption>
        </figure>
        <figure>
          <canvas class="cut" role="img" aria-label="The cut-out"></canvas>
          <figcaption>Cut-out <button type="button" class="ground" title="Another background">◐</button></figcaption>
        </figure>
      </div>
      <div class="scrub">
        <button type="button" class="play" aria-label="Play or pause">▶</button>
        <input type="range" min="0" max="${Math.max(this.facts.count - 1, 0)}" step="1" value="0" aria-label="Frame">
        <output></output>
      </div>`;
    this.whole = /** @type {HTMLCanvasElement} */ (root.querySelector(".whole"));
    this.cut = /** @type {HTMLCanvasElement} */ (root.querySelector(".cut"));
    this.range = root.querySelector("input");
    this.whole.width = this.facts.wholeTile[0] * 2;
    this.whole.height = this.facts.wholeTile[1] * 2;
    this.cut.width = this.cut.height = 512;
    this.sheets = [data.whole, data.cutout].map((address) => Object.assign(new Image(), { src: address, onload: () => this.draw() }));
    this.listen();
    this.seek(0, false);
    if (!matchMedia("(prefers-reduced-motion: reduce)").matches && this.facts.count > 1) this.toggle();
  }

  listen() {
    const root = this.shadowRoot;
    this.range.addEventListener("input", () => this.seek(Number(this.range.value), false));
    root.querySelector(".play").addEventListener("click", () => this.toggle());
    root.querySelector(".ground").addEventListener("click", () => {
      this.background = (this.background + 1) % BACKGROUNDS.length;
      this.draw();
    });
    const unbox = /** @type {HTMLElement} */ (root.querySelector(".unbox"));
    const hint = /** @type {HTMLElement} */ (unbox.previousElementSibling);
    unbox.hidden = !this.box;
    hint.hidden = Boolean(this.box);
    unbox.addEventListener("click", () => {
      this.box = null;
      this.applyBox();
    });
    this.listenForBox();
  }

  disconnectedCallback() {
    this.stop();
  }

  stop() {
    clearInterval(this.timer);
    this.timer = undefined;
  }

  toggle() {
    const playing = this.timer !== undefined;
    const next = () => this.seek((this.position + 1) % this.facts.count, true);
    this.stop();
    if (!playing) this.timer = setInterval(next, 1000 / Math.max(this.facts.fps, 1));
    this.shadowRoot.querySelector(".play").textContent = playing ? "▶" : "❚❚";
  }

  seek(position, playing) {
    if (!playing && this.timer !== undefined) this.toggle();
    this.position = position;
    this.range.value = position;
    this.shadowRoot.querySelector("output").textContent = `frame ${position + 1} of ${this.facts.count}`;
    this.draw();
  }

  draw() {
    const { facts } = this;
    const share = facts.count > 1 ? this.position / (facts.count - 1) : 0;
    this.tile(this.whole, this.sheets[0], facts.wholeTile, facts.wholeCount, Math.round(share * (facts.wholeCount - 1)));
    this.drawSquare();
    const context = this.cut.getContext("2d");
    this.ground(context);
    this.tile(this.cut, this.sheets[1], [facts.cutTile, facts.cutTile], facts.count, this.position);
  }

  tile(canvas, sheet, [width, height], count, index) {
    if (!sheet.complete || !sheet.naturalWidth) return;
    const across = Math.max(1, Math.ceil(Math.sqrt(count)));
    const [x, y] = [(index % across) * width, Math.floor(index / across) * height];
    canvas.getContext("2d").drawImage(sheet, x, y, width, height, 0, 0, canvas.width, canvas.height);
  }

  ground(context) {
    const { width, height } = this.cut;
    context.fillStyle = { checks: "#e9e9ee", white: "#fff", black: "#111" }[BACKGROUNDS[this.background]];
    context.fillRect(0, 0, width, height);
    if (this.background > 0) return;
    context.fillStyle = "#d3d3db";
    for (let y = 0; y < height; y += 16) for (let x = (y / 16) % 2 ? 16 : 0; x < width; x += 32) context.fillRect(x, y, 16, 16);
  }

  /** The square that the clip shows, and the box that corrects it. */
  drawSquare() {
    const context = this.whole.getContext("2d");
    const { width, height } = this.whole;
    const [x, y, side] = this.facts.crop;
    const [sx, sy] = [width / this.facts.source[0], height / this.facts.source[1]];
    context.save();
    context.fillStyle = "rgba(20, 20, 28, 0.42)";
    context.beginPath();
    context.rect(0, 0, width, height);
    context.rect(x * sx, y * sy, side * sx, side * sy);
    context.fill("evenodd");
    if (this.box) {
      const [left, top, right, bottom] = this.box;
      context.setLineDash([10, 7]);
      context.lineWidth = 4;
      context.strokeStyle = "#fff";
      context.strokeRect(left * width, top * height, (right - left) * width, (bottom - top) * height);
      context.lineDashOffset = 10;
      context.strokeStyle = "#4f46e5";
      context.strokeRect(left * width, top * height, (right - left) * width, (bottom - top) * height);
    }
    context.restore();
  }

  listenForBox() {
    let start = null;
    const place = (event) => {
      // The picture keeps its proportions inside the canvas (object-fit: contain).
      const area = this.whole.getBoundingClientRect();
      const scale = Math.min(area.width / this.whole.width, area.height / this.whole.height);
      const [width, height] = [this.whole.width * scale, this.whole.height * scale];
      const clamp = (value) => Math.min(Math.max(value, 0), 1);
      const x = (event.clientX - area.left - (area.width - width) / 2) / width;
      return [clamp(x), clamp((event.clientY - area.top - (area.height - height) / 2) / height)];
    };
    this.whole.addEventListener("pointerdown", (event) => {
      start = place(event);
      this.whole.setPointerCapture(event.pointerId);
      if (this.timer !== undefined) this.toggle();
    });
    this.whole.addEventListener("pointermove", (event) => {
      if (!start) return;
      const [x, y] = place(event);
      this.box = [Math.min(start[0], x), Math.min(start[1], y), Math.max(start[0], x), Math.max(start[1], y)];
      this.draw();
    });
    this.whole.addEventListener("pointerup", () => {
      if (start && this.box && this.box[2] - this.box[0] > 0.04 && this.box[3] - this.box[1] > 0.04) this.applyBox();
      else if (start) this.box = this.facts.box;
      start = null;
      this.draw();
    });
    this.whole.addEventListener("keydown", (event) => this.moveBox(event));
  }

  moveBox(event) {
    if (event.key === "Enter" && this.box) return this.applyBox();
    const step = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
    if (!step) return;
    event.preventDefault();
    const [dx, dy] = step.map((value) => value * 0.02);
    const [left, top, right, bottom] = this.box ?? [0.1, 0.1, 0.9, 0.9];
    const moved = event.shiftKey ? [left, top, right + dx, bottom + dy] : [left + dx, top + dy, right + dx, bottom + dy];
    if (moved[0] < 0 || moved[1] < 0 || moved[2] > 1.001 || moved[3] > 1.001 || moved[2] - moved[0] < 0.05 || moved[3] - moved[1] < 0.05) return;
    this.box = moved;
    this.draw();
  }

  /** Reports the box to the page, which makes the cut-out again. */
  applyBox() {
    this.dispatchEvent(new CustomEvent("ar4d-box", { bubbles: true, composed: true, detail: { box: this.box } }));
  }
}

customElements.define("ar4d-cutout", Cutout);
