// <ar4d-stages>: the input and each stage's picture of one frame, which is the viewer's frame.

const STAGES_STYLE = `${RESULT_STYLE}
  .pictures { display: grid; grid-template-columns: repeat(auto-fit, minmax(104px, 1fr)); gap: 10px; }
  figure { margin: 0; }
  figcaption { height: 26px; padding: 4px 2px; font-size: 12.5px; font-weight: 550; overflow: hidden; text-overflow: ellipsis; white-space: nowrap; }
  figure button { display: block; width: 100%; aspect-ratio: 1; padding: 0; overflow: hidden; border-radius: 10px; background: #fff; cursor: zoom-in; }
  figure button:disabled { background: var(--background-fill-secondary); cursor: default; }
  img { display: block; width: 100%; height: 100%; object-fit: contain; }
  .scrub { display: flex; gap: 10px; align-items: center; min-height: 40px; }
  .scrub input { flex: 1; min-width: 0; }
  output { min-width: 100px; text-align: right; color: var(--body-text-color-subdued); font-variant-numeric: tabular-nums; font-size: 12.5px; }
  dialog { max-width: 96vw; border: 0; border-radius: 14px; padding: 14px; background: var(--block-background-fill); color: inherit; }
  dialog .pictures { grid-template-columns: repeat(auto-fit, minmax(min(340px, 80vw), 1fr)); width: min(1400px, 92vw); }
  dialog figure div { aspect-ratio: 1; background: #fff; border-radius: 10px; overflow: hidden; }
`;
const FOLLOW_MS = 250; // between two looks at the viewer's time

class StagePictures extends HTMLElement {
  static observedAttributes = ["data-ticket", "data-facts"];

  connectedCallback() {
    if (!this.shadowRoot) {
      this.attachShadow({ mode: "open" });
      this.render();
    }
    this.timer = setInterval(() => this.follow(), FOLLOW_MS);
  }

  disconnectedCallback() {
    clearInterval(this.timer);
  }

  attributeChangedCallback(_, before, after) {
    if (this.shadowRoot && before !== after) this.render();
  }

  render() {
    const { count = 0, captions = [] } = JSON.parse(this.dataset.facts || "{}");
    this.shown = this.wanted = null;
    this.pictures = captions.map((caption) => ({ caption, picture: null }));
    this.scrub = build("input", { type: "range", min: 1, max: Math.max(count, 1), value: 1, step: 1, "aria-label": "Frame of the pictures and the viewer", disabled: count < 2, oninput: () => this.seek() });
    this.output = build("output", {});
    this.strip = build("div", { class: "pictures" });
    this.dialog = build("dialog", { "aria-label": "The stages, enlarged", onclick: () => this.dialog.close() });
    this.count = count;
    this.shadowRoot.replaceChildren(build("style", {}, STAGES_STYLE), ...(count ? [this.strip, build("div", { class: "scrub" }, this.scrub, this.output), this.dialog] : []));
    this.draw();
    if (count) this.show(Math.floor((count - 1) / 2));
  }

  /** Shows the frame that the viewer shows; while it plays, the pictures wait. */
  follow() {
    const view = this.count ? presentView() : null;
    if (!view || view.playing || view.numFrames !== this.count || view.frame === this.seen) return;
    this.seen = view.frame;
    this.show(Math.round(view.frame));
  }

  seek() {
    const frame = Number(this.scrub.value) - 1;
    const view = presentView();
    if (view?.numFrames === this.count) shownViewer().player.scrub(frame);
    this.seen = frame;
    this.show(frame);
  }

  async show(frame) {
    this.scrub.value = String(frame + 1);
    this.output.textContent = `frame ${frame + 1} of ${this.count}`;
    this.wanted = frame;
    if (this.loading || this.shown === frame || !this.dataset.ticket) return;
    this.loading = true;
    try {
      const ticket = this.dataset.ticket;
      const pictures = await askServer(`result/${ticket}/stages/${frame}`);
      if (ticket === this.dataset.ticket) [this.pictures, this.shown] = [pictures, frame];
      this.draw();
    } catch (error) {
      this.output.textContent = error.message;
      this.wanted = this.shown;
    }
    this.loading = false;
    if (this.wanted !== null && this.wanted !== this.shown) this.show(this.wanted);
  }

  draw() {
    const figure = ({ caption, picture }, large) => build("figure", {},
      large ? build("div", {}, picture ? build("img", { src: picture, alt: caption }) : null)
        : build("button", { type: "button", disabled: !picture, "aria-label": `Enlarge: ${caption}`, onclick: () => this.enlarge() }, picture ? build("img", { src: picture, alt: caption }) : ""),
      build("figcaption", {}, caption));
    this.strip.replaceChildren(...this.pictures.map((pair) => figure(pair, false)));
    this.dialog.replaceChildren(build("div", { class: "pictures" }, ...this.pictures.map((pair) => figure(pair, true))));
  }

  enlarge() {
    this.dialog.showModal();
  }
}

customElements.define("ar4d-stages", StagePictures);
