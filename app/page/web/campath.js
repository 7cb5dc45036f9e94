// The key frames of a camera's own path, in the card of a video.

class CameraPathEditor {
  constructor(card) {
    this.card = card;
    this.keys = [];
    const changed = () => this.changed();
    this.closed = build("input", { type: "checkbox", onchange: changed });
    this.held = build("input", { type: "checkbox", onchange: changed });
    this.list = build("ol", { class: "keys" });
    this.previewButton = build("button", { type: "button", onclick: () => this.preview() }, "Preview");
    this.message = build("p", { class: "subdued", role: "status" });
    this.switches = build("div", { class: "row" },
      build("label", { class: "check" }, this.closed, "Return to the first"), build("label", { class: "check" }, this.held, "Hold each key's moment"));
    const style = build("style", {}, `
      .keys { display: grid; gap: 4px; margin: 6px 0; padding: 0; list-style: none; counter-reset: key; }
      .keys li { display: flex; gap: 4px; align-items: center; counter-increment: key; font-variant-numeric: tabular-nums; font-size: 12.5px; }
      .keys li::before { content: counter(key) "."; width: 20px; }
      .keys li span { flex: 1; min-width: 0; }
      .keys button { min-width: 32px; padding: 0 8px; }
      .path { padding: 8px 0; border-top: 1px solid var(--border-color-primary); }`);
    this.element = build("section", { class: "path", "aria-label": `Camera path of the ${card.facts.title}` }, style,
      build("b", {}, "Your own camera"), build("p", { class: "subdued" }, "Move the viewer and add its view as a key frame; two or more take the place of the turn."),
      this.list, this.switches,
      build("div", { class: "row" }, build("button", { type: "button", onclick: () => this.add() }, "Add the present view"),
        build("button", { type: "button", onclick: () => this.start() }, "Start the turn here"), this.previewButton), this.message);
    this.draw();
  }

  /** The path as the server reads it (ar4d.formats.CameraPath). */
  value() {
    const keys = this.keys.map(({ time, ...key }) => (this.held.checked ? { ...key, time } : key));
    return { keys, closed: this.closed.checked };
  }

  view() {
    const view = presentView();
    this.message.textContent = view ? "" : "The viewer shows nothing yet; wait for it.";
    return view && { ...keyOfView(view), time: timeOfView(view) };
  }

  add() {
    const key = this.view();
    if (!key) return;
    const last = this.keys.at(-1);
    if (last) key.azimuth_deg += 360 * Math.round((last.azimuth_deg - key.azimuth_deg) / 360); // the short way
    this.keys.push(key);
    this.changed();
  }

  /** The turn begins at the present view. */
  start() {
    const key = this.view();
    if (key) this.card.set({ azimuth_deg: key.azimuth_deg, elevation_deg: key.elevation_deg, radius: key.radius });
  }

  changed() {
    this.stop();
    this.draw();
    this.card.changed();
  }

  move(index, by) {
    const [key] = this.keys.splice(index, 1);
    this.keys.splice(index + by, 0, key);
    this.changed();
  }

  draw() {
    const button = (label, text, action, off = false) => build("button", { type: "button", "aria-label": label, title: label, disabled: off, onclick: action }, text);
    this.list.replaceChildren(...this.keys.map((key, index) => build("li", {},
      build("span", {}, `${Math.round(key.azimuth_deg)}°, ${Math.round(key.elevation_deg)}° up, ${key.radius.toFixed(2)} away${this.held.checked ? `, at ${Math.round(100 * key.time)} %` : ""}`),
      button(`Show key frame ${index + 1}`, "◎", () => lookAlong(this.held.checked ? key : { ...key, time: null })),
      button(`Move key frame ${index + 1} up`, "↑", () => this.move(index, -1), index === 0),
      button(`Move key frame ${index + 1} down`, "↓", () => this.move(index, 1), index === this.keys.length - 1),
      button(`Delete key frame ${index + 1}`, "✕", () => { this.keys.splice(index, 1); this.changed(); }))));
    this.switches.hidden = this.keys.length < 2;
    this.previewButton.hidden = this.keys.length < 2;
  }

  /** Flies the viewer along the path, as the video will; a second press stops it. */
  async preview() {
    if (this.flying) return this.stop();
    const seconds = Number(this.card.options().seconds) || 4;
    let frames;
    try {
      frames = await askServer(this.card.list.address("path"), "POST", { path: this.value(), frames: Math.min(Math.round(seconds * 30), 3600) });
    } catch (error) {
      this.message.textContent = error.message;
      return;
    }
    const start = performance.now();
    this.previewButton.textContent = "Stop";
    const step = (now) => {
      const index = Math.floor(((now - start) / 1000 / seconds) * frames.length);
      lookAlong(frames[Math.min(Math.max(index, 0), frames.length - 1)]);
      if (index >= frames.length) this.stop();
      else this.flying = requestAnimationFrame(step);
    };
    this.flying = requestAnimationFrame(step);
  }

  stop() {
    if (this.flying) cancelAnimationFrame(this.flying);
    this.flying = null;
    this.previewButton.textContent = "Preview";
  }
}
