// <ar4d-cutout>: the video beside its cut-out, frame by frame. Clicks, strokes and boxes drawn on the video correct
// the cut-out; the film strip below trims the clip.
const BACKGROUNDS = ["checks", "white", "black"];
const TOOLS = [
  ["keep", "+ Keep", "k", "Click what belongs to the subject; drag to paint (K)"],
  ["drop", "− Drop", "d", "Click what does not belong to the subject; drag to paint (D)"],
  ["box", "▢ Box", "b", "Drag a box around the subject; it follows the subject through the clip (B)"],
];
const RADIUS = 0.012; // of a click, in shares of the picture's longer side
const BRUSH = { least: 0.005, most: 0.08, usual: 0.02 }; // radius of a stroke
const SMALLEST = 0.04; // side of a box

const STYLE = `
  :host { display: block; }
  .tools { display: flex; flex-wrap: wrap; align-items: center; gap: 6px; margin-bottom: 8px; }
  .pair { display: grid; grid-template-columns: 1fr 1fr; gap: 10px; }
  figure { margin: 0; min-width: 0; }
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
    min-width: 136px; color: var(--body-text-color-subdued); font-size: 12.5px; text-align: right;
    font-variant-numeric: tabular-nums;
  }
  button {
    display: inline-grid; place-items: center; min-width: 34px; min-height: 30px; padding: 0 10px;
    border: 1px solid var(--border-color-primary); border-radius: 7px; background: var(--block-background-fill);
    color: inherit; font: inherit; font-size: 12.5px; cursor: pointer;
  }
  button[aria-pressed="true"] { border-color: var(--color-accent); background: var(--color-accent); color: var(--on-accent); }
  button:disabled { opacity: 0.62; cursor: default; }
  .width { display: flex; flex: 1; align-items: center; gap: 6px; min-width: 170px; font-size: 12.5px; }
  .width input { flex: 1; min-width: 46px; accent-color: var(--color-accent); }
  .width output { min-width: 66px; white-space: nowrap; }
  .play { padding: 0; font-size: 10px; }
  .ground { min-height: 22px; border: 0; font-size: 15px; padding: 0; }
  .keys { display: flex; flex-wrap: wrap; gap: 4px; min-height: 20px; font-size: 12px; }
  .keys button { min-height: 24px; padding: 0 7px; font-size: 12px; }
  [hidden] { display: none !important; }
  :is(button, input, canvas):focus-visible { outline: 2px solid var(--color-accent); outline-offset: 2px; }
  @media (max-width: 480px) {
    figcaption { height: auto; min-height: 26px; } figcaption span { display: none; }
    button, .ground { min-width: 44px; min-height: 44px; }
  }
`;
const LABEL =
  "The video. With Keep or Drop, arrow keys move a cross and enter clicks there; with Box, arrow keys move the box, shift and arrows resize it, enter applies it. Brackets change the brush. Z undoes.";

const round = (value) => Math.round(value * 1e4) / 1e4;
const copy = (value) => JSON.parse(JSON.stringify(value));

// Its content lies in a shadow tree, because Gradio patches the page's other elements in place.
class Cutout extends HTMLElement {
  static observedAttributes = ["data-facts", "data-whole", "data-cutout", "data-strip"];

  /** @type {HTMLCanvasElement} */ whole;
  /** @type {HTMLCanvasElement} */ cut;
  /** @type {HTMLInputElement} */ range;

  connectedCallback() {
    this.attachShadow({ mode: "open" });
    this.background = 0;
    this.tool = "keep";
    this.brush = BRUSH.usual;
    pauseViewer();
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

  disconnectedCallback() {
    this.stop();
  }

  build() {
    const data = this.dataset;
    const before = this.facts;
    const playing = this.timer !== undefined;
    this.stop();
    this.facts = JSON.parse(data.facts);
    const same = before?.id === this.facts.id;
    const focus = same ? this.shadowRoot.activeElement?.className : "";
    this.corrections = copy(this.facts.corrections);
    this.history = same ? this.history : [];
    this.cross = same ? this.cross : [0.5, 0.5];
    this.draft = null;
    this.shadowRoot.innerHTML = this.markup();
    const find = (name) => /** @type {any} */ (this.shadowRoot.querySelector(name));
    [this.whole, this.cut, this.range] = [".whole", ".cut", ".scrub input"].map(find);
    [this.whole.width, this.whole.height] = this.facts.wholeTile;
    this.cut.width = this.cut.height = 512;
    this.sheets = [data.whole, data.cutout].map((address) => Object.assign(new Image(), { src: address, onload: () => this.draw() }));
    this.listen();
    this.seek(same ? Math.min(this.position, this.facts.chosen - 1) : 0, false);
    if (focus) find(`.${focus}`)?.focus();
    const still = matchMedia("(prefers-reduced-motion: reduce)").matches || this.facts.chosen < 2;
    if (same ? playing : !still) this.toggle();
  }

  markup() {
    const tools = TOOLS.map(
      ([name, label, , hint]) => `<button type="button" class="tool-${name}" data-tool="${name}" title="${hint}" aria-pressed="${name === this.tool}">${label}</button>`,
    ).join("");
    return `<style>${STYLE}${STRIP_STYLE}</style>
      <div class="tools" role="toolbar" aria-label="Correct the cut-out">${tools}
        <label class="width" title="Width of the brush ([ and ])">Brush
          <input type="range" class="brush" min="${BRUSH.least}" max="${BRUSH.most}" step="0.005" value="${this.brush}">
          <output class="size"></output>
        </label>
        <button type="button" class="undo" title="Take the last correction back (Z)">Undo</button>
        <button type="button" class="clear" title="Remove all corrections">Clear</button>
      </div>
      <div class="pair">
        <figure>
          <canvas class="whole" tabindex="0" role="application" aria-label="${LABEL}"></canvas>
          <figcaption>Video <span>click to correct</span></figcaption>
        </figure>
        <figure>
          <canvas class="cut" role="img" aria-label="The cut-out"></canvas>
          <figcaption>Cut-out <button type="button" class="ground" title="Another background" aria-label="Another background">◐</button></figcaption>
        </figure>
      </div>
      <div class="scrub">
        <button type="button" class="play" aria-label="Play or pause">▶</button>
        <input type="range" class="frame" min="0" max="${Math.max(this.facts.chosen - 1, 0)}" step="1" value="0" aria-label="Frame">
        <output></output>
      </div>
      <div class="keys" role="group" aria-label="Corrected frames"></div>
${STRIP_MARKUP}`;
  }

  listen() {
    const root = this.shadowRoot;
    const on = (name, action) => root.querySelector(name).addEventListener("click", action);
    this.range.addEventListener("input", () => this.seek(Number(this.range.value), false));
    const brush = /** @type {HTMLInputElement} */ (root.querySelector(".brush"));
    brush.addEventListener("input", () => this.widen(Number(brush.value)));
    this.showBrush();
    on(".play", () => this.toggle());
    on(".undo", () => this.undo());
    on(".clear", () => this.change({ marks: [], boxes: [] }));
    on(".ground", () => {
      this.background = (this.background + 1) % BACKGROUNDS.length;
      this.draw();
    });
    for (const button of root.querySelectorAll("[data-tool]")) button.addEventListener("click", () => this.choose(/** @type {HTMLElement} */ (button).dataset.tool));
    this.whole.addEventListener("keydown", (event) => this.press(event));
    this.listenForDrawing();
    const show = (picture, sheet) => {
      this.stop();
      drawTile(this.whole, sheet, this.facts.stripTile, this.facts.stripCount, picture);
    };
    new FilmStrip(root, this.facts, this.dataset.strip, show, (start, end) => this.tell({ action: "trim", start, end }));
    this.showCorrections();
  }

  choose(tool) {
    this.tool = tool;
    for (const button of /** @type {NodeListOf<HTMLElement>} */ (this.shadowRoot.querySelectorAll("[data-tool]"))) button.setAttribute("aria-pressed", String(button.dataset.tool === tool));
    this.draw();
  }

  /** Sets the radius of the brush, in shares of the picture's longer side, and shows it on the picture. */
  widen(radius) {
    this.brush = round(clamp(radius, BRUSH.least, BRUSH.most));
    this.showBrush();
    if (this.tool !== "box") this.draft = { points: [this.cross], keep: this.tool === "keep", radius: this.brush };
    this.draw();
    clearTimeout(this.widening);
    this.widening = setTimeout(() => {
      if (this.draft?.points?.length === 1) this.draft = null;
      this.draw();
    }, 900);
  }

  /** Says how wide a stroke is: in pixels of the video, and in percent of its longer side. */
  showBrush() {
    const [pixels, percent] = [2 * this.brush * Math.max(...this.facts.source), 200 * this.brush].map(Math.round);
    const brush = /** @type {HTMLInputElement} */ (this.shadowRoot.querySelector(".brush"));
    brush.value = String(this.brush);
    brush.ariaValueText = `${pixels} pixels, ${percent} % of the picture`;
    this.shadowRoot.querySelector(".size").textContent = `${pixels} px, ${percent} %`;
  }

  // --- time ---------------------------------------------------------------------------------------------------

  stop() {
    clearInterval(this.timer);
    this.timer = undefined;
  }

  toggle() {
    const playing = this.timer !== undefined;
    const next = () => this.seek((this.position + 1) % this.facts.chosen, true);
    this.stop();
    if (!playing) this.timer = setInterval(next, 1000 / Math.max(this.facts.fps, 1));
    this.shadowRoot.querySelector(".play").textContent = playing ? "▶" : "❚❚";
  }

  /** Shows a frame; `position` counts from 0. */
  seek(position, playing = false) {
    if (!playing && this.timer !== undefined) this.toggle();
    this.position = clamp(position, 0, Math.max(this.facts.chosen - 1, 0));
    this.range.value = String(this.position);
    this.shadowRoot.querySelector(".scrub output").textContent = `frame ${this.position + 1} of ${this.facts.chosen}`;
    this.draw();
  }

  // --- drawing ------------------------------------------------------------------------------------------------

  draw() {
    const { facts } = this;
    drawTile(this.whole, this.sheets[0], facts.wholeTile, facts.chosen, this.position);
    this.drawMarks();
    const context = this.cut.getContext("2d");
    drawGround(context, BACKGROUNDS[this.background]);
    const index = facts.numbers.indexOf(this.position + 1);
    if (index >= 0) drawTile(this.cut, this.sheets[1], [facts.cutTile, facts.cutTile], facts.numbers.length, index);
    else this.write(context, "not used");
  }

  write(context, text) {
    context.fillStyle = "#6d6d78";
    context.font = "600 26px system-ui, sans-serif";
    context.textAlign = "center";
    context.fillText(text, this.cut.width / 2, this.cut.height / 2);
  }

  /** The square that the clip shows, and this frame's corrections. */
  drawMarks() {
    const context = this.whole.getContext("2d");
    const { width, height } = this.whole;
    const [x, y, side] = this.facts.crop;
    const [sx, sy] = [width / this.facts.source[0], height / this.facts.source[1]];
    context.save();
    context.fillStyle = "rgba(20, 20, 28, 0.36)";
    context.beginPath();
    context.rect(0, 0, width, height);
    context.rect(x * sx, y * sy, side * sx, side * sy);
    context.fill("evenodd");
    const frame = this.position + 1;
    const drawn = this.draft?.points ? [this.draft] : [];
    for (const mark of [...this.corrections.marks.filter((one) => one.frame === frame), ...drawn]) drawMark(context, mark);
    const boxes = this.draft?.left !== undefined ? [this.draft] : this.corrections.boxes.filter((one) => one.frame === frame);
    for (const box of boxes) drawBox(context, box);
    if (this.shadowRoot.activeElement === this.whole && this.tool !== "box") drawCross(context, this.cross, this.tool);
    context.restore();
  }

  // --- corrections --------------------------------------------------------------------------------------------

  /** Takes new corrections over and reports them to the page, which makes the cut-out again. */
  change(corrections, remember = true) {
    if (remember) this.history.push(copy(this.corrections));
    this.corrections = corrections;
    this.draft = null;
    this.showCorrections();
    this.draw();
    this.tell({ action: "correct", corrections });
  }

  undo() {
    const { marks, boxes } = this.corrections;
    if (!this.history.length && !marks.length && !boxes.length) return;
    // After a reload the order is not known any more: the marks go first.
    this.change(this.history.pop() ?? (marks.length ? { marks: marks.slice(0, -1), boxes } : { marks, boxes: boxes.slice(0, -1) }), false);
  }

  addMark(points) {
    const radius = points.length > 1 ? this.brush : RADIUS;
    const mark = { frame: this.position + 1, points: points.map((point) => point.map(round)), keep: this.tool === "keep", radius };
    this.change({ ...this.corrections, marks: [...this.corrections.marks, mark] });
  }

  addBox({ left, top, right, bottom }) {
    const frame = this.position + 1;
    const others = this.corrections.boxes.filter((box) => box.frame !== frame);
    const box = { frame, left: round(left), top: round(top), right: round(right), bottom: round(bottom) };
    this.change({ ...this.corrections, boxes: [...others, box] });
  }

  showCorrections() {
    const { marks, boxes } = this.corrections;
    const frames = [...new Set([...marks, ...boxes].map((one) => one.frame))].sort((a, b) => a - b);
    const keys = this.shadowRoot.querySelector(".keys");
    keys.innerHTML = frames.length ? `Corrected: ${frames.map((frame) => `<button type="button" data-go="${frame}">frame ${frame}</button>`).join("")}` : "";
    for (const button of /** @type {NodeListOf<HTMLElement>} */ (keys.querySelectorAll("[data-go]"))) button.addEventListener("click", () => this.seek(Number(button.dataset.go) - 1));
    const [undo, clear] = ["undo", "clear"].map((name) => /** @type {HTMLButtonElement} */ (this.shadowRoot.querySelector(`.${name}`)));
    undo.disabled = !frames.length && !this.history.length;
    clear.disabled = !frames.length;
  }

  tell(detail) {
    this.dispatchEvent(new CustomEvent("ar4d-cutout", { bubbles: true, composed: true, detail }));
  }

  /**
   * Where a pointer is, in shares of the picture; its proportions are kept inside the canvas.
   * @returns {[number, number]}
   */
  place(event) {
    const area = this.whole.getBoundingClientRect();
    const scale = Math.min(area.width / this.whole.width, area.height / this.whole.height);
    const [width, height] = [this.whole.width * scale, this.whole.height * scale];
    return [(event.clientX - area.left - (area.width - width) / 2) / width, (event.clientY - area.top - (area.height - height) / 2) / height];
  }

  listenForDrawing() {
    let start = null;
    let path = [];
    const inside = ([x, y]) => x >= 0 && x <= 1 && y >= 0 && y <= 1;
    this.whole.addEventListener("pointerdown", (event) => {
      if (this.timer !== undefined) this.toggle();
      const at = this.place(event);
      if (!inside(at)) return this.tell({ action: "outside" });
      [start, path] = [at, [at]];
      this.whole.setPointerCapture(event.pointerId);
    });
    this.whole.addEventListener("pointermove", (event) => {
      if (!start) return;
      const [x, y] = this.place(event).map((value) => clamp(value));
      if (this.tool === "box") this.draft = { left: Math.min(start[0], x), top: Math.min(start[1], y), right: Math.max(start[0], x), bottom: Math.max(start[1], y) };
      else if (Math.hypot(x - path[path.length - 1][0], y - path[path.length - 1][1]) > 0.012) {
        path.push([x, y]);
        this.draft = { points: path, keep: this.tool === "keep", radius: this.brush };
      }
      this.draw();
    });
    this.whole.addEventListener("pointerup", () => {
      if (!start) return;
      const box = this.draft;
      start = this.draft = null;
      if (this.tool !== "box") this.addMark(path);
      else if (box && box.right - box.left > SMALLEST && box.bottom - box.top > SMALLEST) this.addBox(box);
      this.draw();
    });
    this.whole.addEventListener("focus", () => this.draw());
    this.whole.addEventListener("blur", () => this.draw());
  }

  press(event) {
    const key = event.key.toLowerCase();
    const tool = TOOLS.find(([, , shortcut]) => shortcut === key);
    if (key === "z") this.undo();
    else if (tool && !event.ctrlKey && !event.metaKey) this.choose(tool[0]);
    else if (key === "[" || key === "]") this.widen(this.brush + (key === "]" ? 0.005 : -0.005));
    else if (key === "," || key === ".") this.seek(this.position + (key === "." ? 1 : -1));
    else if (event.key === "Enter") this.apply();
    else this.move(event);
  }

  apply() {
    if (this.tool !== "box") this.addMark([this.cross]);
    else this.addBox(this.draft ?? this.ownBox());
  }

  ownBox() {
    return this.corrections.boxes.find((box) => box.frame === this.position + 1) ?? { left: 0.1, top: 0.1, right: 0.9, bottom: 0.9 };
  }

  move(event) {
    const step = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
    if (!step) return;
    event.preventDefault();
    const [dx, dy] = step.map((value) => value * 0.02);
    if (this.tool === "box") {
      const { left, top, right, bottom } = this.draft ?? this.ownBox();
      const moved = event.shiftKey ? [left, top, right + dx, bottom + dy] : [left + dx, top + dy, right + dx, bottom + dy];
      if (moved[0] < -0.001 || moved[1] < -0.001 || moved[2] > 1.001 || moved[3] > 1.001 || moved[2] - moved[0] < 0.05 || moved[3] - moved[1] < 0.05) return;
      const [a, b, c, d] = moved.map((value) => clamp(value));
      this.draft = { left: a, top: b, right: c, bottom: d };
    } else this.cross = [clamp(this.cross[0] + dx), clamp(this.cross[1] + dy)];
    this.draw();
  }
}

customElements.define("ar4d-cutout", Cutout);

// A click on a frame's name in a warning goes to that frame.
document.addEventListener("click", (event) => {
  const button = /** @type {Element} */ (event.target).closest?.("button[data-frame]");
  const cutout = /** @type {Cutout | null} */ (document.querySelector("ar4d-cutout"));
  if (button && cutout) cutout.seek(Number(/** @type {HTMLElement} */ (button).dataset.frame) - 1);
});
