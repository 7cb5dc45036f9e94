// <ar4d-cleanup>: splats are selected by a box or a lasso in the viewer, and deleted in all frames.

const CLEANUP_STYLE = `${RESULT_STYLE}
  .tools { display: grid; gap: 10px; }
  button[aria-pressed=true] { border-color: var(--color-accent); box-shadow: inset 0 0 0 1px var(--color-accent); }
  label { display: flex; gap: 10px; align-items: center; flex: 1; min-width: 220px; }
  label input { flex: 1; min-width: 80px; }
  output { font-variant-numeric: tabular-nums; }
`;
const OVERLAY_STYLE = "position:absolute;z-index:3;cursor:crosshair;touch-action:none;border-radius:13px;max-width:none;margin:0;";
const LASSO_STEP = 4; // pixels between two corners

class Cleanup extends HTMLElement {
  static observedAttributes = ["data-ticket", "data-facts"];

  connectedCallback() {
    if (this.shadowRoot) return;
    this.attachShadow({ mode: "open" });
    this.render();
  }

  disconnectedCallback() {
    this.leave();
  }

  attributeChangedCallback(_, before, after) {
    if (this.shadowRoot && before !== after) this.render();
  }

  render() {
    this.leave();
    this.facts = JSON.parse(this.dataset.facts || "null");
    this.tool = null;
    const action = (label, run, attributes = {}) => build("button", { type: "button", onclick: run, ...attributes }, label);
    this.tools = ["box", "lasso"].map((tool) => action(tool === "box" ? "Box" : "Lasso", () => this.choose(tool), { "data-tool": tool, "aria-pressed": "false" }));
    this.invert = action("Invert", () => this.inverted(), { title: "Select what lies outside the outline instead" });
    this.clear = action("Deselect", () => this.choose(null));
    this.removeButton = action("Delete", () => this.change("delete", this.edit), { class: "primary" });
    this.undo = action("Undo", () => this.change("undo"));
    this.reset = action("Restore all", () => this.change("reset"));
    this.opacity = build("input", { type: "range", min: 0, max: 0.5, step: 0.01, value: 0, "aria-label": "Opacity below which splats are selected", oninput: () => this.faint() });
    this.value = build("output", {}, "0");
    this.message = build("p", { class: "subdued", role: "status" });
    this.error = build("p", { class: "error", role: "alert", hidden: true });
    this.shadowRoot.replaceChildren(build("style", {}, CLEANUP_STYLE), build("div", { class: "tools" },
      build("div", { class: "row" }, ...this.tools, this.invert, this.clear),
      build("div", { class: "row" }, build("label", {}, "Fainter than", this.opacity, this.value)),
      this.message, this.error,
      build("div", { class: "row" }, this.removeButton, this.undo, this.reset)));
    this.select(null);
    this.say();
  }

  /** What is left, or what is selected. */
  say(text) {
    const { left, total } = this.facts ?? {};
    this.message.textContent = text ?? (this.facts ? `${left.toLocaleString("en")} of ${total.toLocaleString("en")} splats are kept, in all frames.` : "");
  }

  complain(error) {
    this.error.textContent = error?.message ?? "";
    this.error.hidden = !error;
  }

  select(edit, count = 0) {
    this.edit = edit;
    this.removeButton.disabled = !edit || !count;
    this.invert.disabled = edit?.kind !== "outline";
    this.clear.disabled = !edit && !this.tool;
    this.undo.disabled = this.reset.disabled = !this.facts?.edits.length;
  }

  choose(tool) {
    const chosen = tool === this.tool ? null : tool;
    this.leave();
    this.tool = chosen;
    for (const button of this.tools) button.setAttribute("aria-pressed", String(button.dataset.tool === chosen));
    this.opacity.value = "0";
    this.value.textContent = "0";
    this.complain(null);
    this.select(null);
    this.say(chosen && (chosen === "box" ? "Drag a box in the viewer." : "Draw around the splats in the viewer."));
    if (chosen) this.enter();
  }

  /** Puts a sheet over the viewer that takes the pointer. */
  enter() {
    const shown = shownViewer();
    const view = presentView();
    if (!shown || !view) return this.complain(new Error("The viewer shows nothing yet; wait for it."));
    this.view = view;
    shown.player.setStage(shown.player.available().at(-1)); // the asset, of which splats are deleted
    if (view.playing) shown.player.scrub?.(view.frame); // stands still while one selects
    const { frame } = shown;
    const place = frame.parentElement;
    place.style.position = "relative";
    const where = `left:${frame.offsetLeft + frame.clientLeft}px;top:${frame.offsetTop + frame.clientTop}px;width:${frame.clientWidth}px;height:${frame.clientHeight}px;`;
    this.picture = build("img", { alt: "", style: `${OVERLAY_STYLE}${where}pointer-events:none`, hidden: true });
    this.sheet = build("canvas", {
      style: OVERLAY_STYLE + where, class: "selection", tabindex: 0, role: "application",
      "aria-label": "Selection in the viewer. Drag; or arrow keys move a box, shift and arrows resize it, enter selects, escape ends.",
      onpointerdown: (event) => this.down(event), onpointermove: (event) => this.moved(event), onpointerup: () => this.up(), onkeydown: (event) => this.key(event),
    });
    place.append(this.picture, this.sheet);
    frame.scrollIntoView({ block: "nearest" });
    const { width, height } = this.sheet.getBoundingClientRect();
    [this.sheet.width, this.sheet.height] = [width, height];
    this.sheet.focus({ preventScroll: true });
  }

  leave() {
    this.sheet?.remove();
    this.picture?.remove();
    this.sheet = this.picture = null;
  }

  at(event) {
    const { left, top, width, height } = this.sheet.getBoundingClientRect();
    return [(event.clientX - left) / width, (event.clientY - top) / height];
  }

  down(event) {
    const shown = shownViewer();
    this.view = presentView() ?? this.view;
    if (!shown) return;
    this.sheet.setPointerCapture(event.pointerId);
    this.picture.hidden = true;
    this.points = [this.at(event)];
  }

  moved(event) {
    if (!this.points) return;
    const point = this.at(event);
    if (this.tool === "box") this.points = [this.points[0], point];
    else {
      const last = this.points.at(-1);
      const { width, height } = this.sheet;
      if (Math.hypot((point[0] - last[0]) * width, (point[1] - last[1]) * height) >= LASSO_STEP && this.points.length < 1500) this.points.push(point);
    }
    this.draw();
  }

  up() {
    const points = this.points;
    this.points = null;
    if (!points || points.length < (this.tool === "box" ? 2 : 3)) return this.draw();
    this.outline(this.tool === "box" ? corners(points) : points);
  }

  key(event) {
    if (event.key === "Escape") return this.choose(null);
    if (event.key === "Enter") return this.box && this.outline(corners(this.box));
    const step = { ArrowLeft: [-0.02, 0], ArrowRight: [0.02, 0], ArrowUp: [0, -0.02], ArrowDown: [0, 0.02] }[event.key];
    if (!step) return;
    event.preventDefault();
    this.box ??= [[0.4, 0.4], [0.6, 0.6]];
    const from = event.shiftKey ? 1 : 0;
    this.box = this.box.map((corner, index) => (index >= from ? corner.map((value, axis) => Math.min(Math.max(value + step[axis], 0), 1)) : corner));
    this.shape = corners(this.box);
    this.draw();
  }

  /** Draws the outline: the one being drawn, or the chosen one. */
  draw() {
    if (!this.sheet) return;
    const points = this.points ? (this.tool === "box" && this.points.length > 1 ? corners(this.points) : this.points) : this.shape;
    const context = this.sheet.getContext("2d");
    const { width, height } = this.sheet;
    context.clearRect(0, 0, width, height);
    if (!points?.length) return;
    context.beginPath();
    for (const [x, y] of points) context.lineTo(x * width, y * height);
    context.closePath();
    context.fillStyle = "rgba(255, 90, 0, 0.08)";
    context.fill();
    context.setLineDash([6, 4]);
    context.strokeStyle = "#ff5a00";
    context.lineWidth = 1.5;
    context.stroke();
  }

  outline(polygon, outside = false) {
    this.shape = polygon;
    this.draw();
    const { viewmat, fov, aspect } = this.view;
    this.ask({ kind: "outline", polygon, viewmat, fov_y_deg: fov, aspect, time: timeOfView(this.view), outside });
  }

  inverted() {
    this.outline(this.edit.polygon, !this.edit.outside);
  }

  faint() {
    const opacity = Number(this.opacity.value);
    this.value.textContent = opacity.toFixed(2);
    if (this.tool) {
      this.leave();
      this.tool = null;
      for (const button of this.tools) button.setAttribute("aria-pressed", "false");
    }
    if (opacity > 0) this.ask({ kind: "faint", opacity });
    else {
      this.select(null);
      this.say();
    }
  }

  /** Shows what an edit takes before it is made. */
  async ask(edit) {
    this.complain(null);
    this.select(edit);
    this.say("Selecting …");
    try {
      const height = Math.min(Math.round(this.sheet?.height || 512), 720);
      const { count, total, picture } = await askServer(`result/${this.dataset.ticket}/selection`, "POST", { edit, height });
      if (this.edit !== edit) return; // a newer selection
      this.select(edit, count);
      this.say(`${count.toLocaleString("en")} of ${total.toLocaleString("en")} splats are selected.`);
      if (this.picture) {
        this.picture.hidden = !picture;
        if (picture) this.picture.src = picture;
      }
    } catch (error) {
      if (this.edit === edit) this.refused(error);
    }
  }

  async change(action, edit = undefined) {
    this.complain(null);
    this.removeButton.disabled = this.undo.disabled = this.reset.disabled = true;
    this.say(action === "delete" ? "Deleting …" : "Restoring …");
    try {
      this.facts = await askServer(`result/${this.dataset.ticket}/cleanup`, "POST", { action, edit });
      this.shape = this.box = null;
      this.picture && (this.picture.hidden = true);
      this.draw();
      this.opacity.value = "0";
      this.value.textContent = "0";
      this.select(null);
      this.say();
      const cards = document.querySelector("ar4d-exports");
      if (cards instanceof HTMLElement) cards.dataset.cleaned = this.facts.edits.length ? "1" : "";
    } catch (error) {
      this.refused(error);
    }
  }

  refused(error) {
    this.complain(error);
    this.select(this.edit, this.edit ? 1 : 0);
    this.say();
  }
}

function corners([[ax, ay], [bx, by]]) {
  return [[ax, ay], [bx, ay], [bx, by], [ax, by]];
}

customElements.define("ar4d-cleanup", Cleanup);
