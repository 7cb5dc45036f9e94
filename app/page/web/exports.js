// <ar4d-exports>: a card per format; one press makes the file and downloads it.

const EXPORTS_STYLE = `${RESULT_STYLE}
  h3 { margin: 14px 0 6px; font-size: 12.5px; font-weight: 600; color: var(--body-text-color-subdued); }
  h3:first-child { margin-top: 0; }
  .cards { display: grid; grid-template-columns: repeat(auto-fill, minmax(218px, 1fr)); gap: 10px; }
  article {
    display: flex; flex-direction: column; gap: 6px; padding: 10px 12px; min-width: 0;
    border: 1px solid var(--border-color-primary); border-radius: 12px; background: var(--block-background-fill);
  }
  article.open { grid-column: 1 / -1; }
  article b { font-size: 14px; font-weight: 600; }
  article p { margin: 0; overflow-wrap: anywhere; }
  article .row { margin-top: auto; padding-top: 4px; }
  .make { flex: 1; min-width: 150px; }
  summary { padding: 4px 0; cursor: pointer; font-size: 12.5px; }
  .form { display: grid; grid-template-columns: repeat(auto-fill, minmax(150px, 1fr)); gap: 10px 12px; padding: 6px 0; align-items: start; }
  label { display: grid; gap: 3px; font-size: 12.5px; font-weight: 550; }
  label.check { grid-template-columns: auto 1fr; align-items: center; }
  label small { grid-column: 1 / -1; color: var(--body-text-color-subdued); font-weight: 400; line-height: 1.35; }
  .color { display: grid; grid-template-columns: 1fr auto; gap: 6px; }
`;
const POLL_MS = 300;

class ExportCards extends HTMLElement {
  static observedAttributes = ["data-ticket", "data-cleaned"];
  /** The formats, asked of the server once. */
  static groups;

  connectedCallback() {
    if (this.shadowRoot) return;
    this.attachShadow({ mode: "open" });
    this.render();
  }

  attributeChangedCallback(_, before, after) {
    if (this.shadowRoot && before !== after) this.render();
  }

  async render() {
    const { ticket, cleaned } = this.dataset;
    this.cards = [];
    this.own = JSON.parse(this.dataset.own || "{}"); // the run's own values of some options
    this.shadowRoot.replaceChildren(build("style", {}, EXPORTS_STYLE));
    if (!ticket) return;
    try {
      ExportCards.groups ??= await askServer("formats");
    } catch (error) {
      this.shadowRoot.append(build("p", { class: "error", role: "alert" }, error.message));
      return;
    }
    if (ticket !== this.dataset.ticket || cleaned !== this.dataset.cleaned) return; // changed meanwhile
    this.original = build("select", { "aria-label": "Which result", onchange: () => this.cards.forEach((card) => card.changed()) },
      build("option", { value: "" }, "As cleaned up"), build("option", { value: "1" }, "As made, with every splat"));
    if (cleaned === "1") this.shadowRoot.append(this.original);
    for (const { title, cards } of ExportCards.groups) {
      const made = cards.map((facts) => new ExportCard(this, facts));
      this.cards.push(...made);
      this.shadowRoot.append(build("h3", {}, title), build("div", { class: "cards" }, ...made.map((card) => card.element)));
    }
    this.estimate(this.cards);
  }

  address(rest) {
    return `result/${this.dataset.ticket}/${rest}`;
  }

  /** Fills in about how large the files of some cards will be. */
  async estimate(cards) {
    const wanted = {};
    for (const card of cards) wanted[card.facts.name] = card.options();
    try {
      const sizes = await askServer(this.address("estimates"), "POST", wanted);
      for (const card of cards) card.showEstimate(sizes[card.facts.name]);
    } catch {
      for (const card of cards) card.showEstimate(null); // a value that is still being typed
    }
  }
}

class ExportCard {
  constructor(list, facts) {
    this.list = list;
    this.facts = facts;
    this.fields = new Map();
    this.making = null; // the export under way
    this.turn = 0; // counts presses and changes, so that an older answer is recognised
    this.size = build("span", { class: "subdued" });
    this.button = build("button", { type: "button", class: "make", onclick: () => this.press() });
    this.cancelButton = build("button", { type: "button", hidden: true, onclick: () => this.cancel() }, "Cancel");
    this.progress = build("progress", { hidden: true, "aria-label": `Progress of ${facts.title}` });
    this.note = build("p", { class: "subdued", role: "status" });
    this.error = build("p", { class: "error", role: "alert", hidden: true });
    this.element = build("article", { "data-format": facts.name, "aria-label": `${facts.title}: ${facts.summary}` },
      build("div", {}, build("b", {}, facts.title), build("p", {}, facts.summary)),
      build("p", { class: "subdued" }, this.size, facts.opens ? `opens in ${facts.opens}` : ""),
      this.options_box(), this.note, this.error,
      build("div", { class: "row" }, this.button, this.progress, this.cancelButton));
    this.reset();
  }

  options_box() {
    const { fields, main, path, still } = this.facts;
    if (still) this.note_still = build("p", { class: "subdued" }, "Shows what the viewer shows now.");
    const usable = fields.filter(({ name }) => !still || !["time", "azimuth_deg", "elevation_deg", "radius", "fov_y_deg"].includes(name));
    if (!usable.length) return null;
    const first = usable.filter(({ name }) => main.includes(name)).sort((a, b) => main.indexOf(a.name) - main.indexOf(b.name));
    const rest = usable.filter((field) => !first.includes(field));
    const form = (some) => build("div", { class: "form" }, ...some.map((field) => this.field(field)));
    const details = build("details", { class: "options", ontoggle: (event) => event.target === details && this.element.classList.toggle("open", details.open) },
      build("summary", {}, "Options"), first.length ? form(first) : null);
    if (path) {
      this.path = new CameraPathEditor(this);
      details.append(this.path.element);
    }
    if (first.length && rest.length) details.append(build("details", {}, build("summary", {}, "More"), form(rest)));
    else if (rest.length) details.append(form(rest));
    return build("div", {}, this.note_still, details);
  }

  field(facts) {
    const { name, label, hint, kind, choices, optional, color } = facts;
    const initial = this.list.own[name] ?? facts.default;
    const changed = () => this.changed();
    let input;
    let read;
    if (color) {
      const picker = build("input", { type: "color", value: "#808080", "aria-label": "Colour", oninput: () => { input.value = "colour"; changed(); } });
      input = build("select", { onchange: changed }, ...choices.map(({ value, label: text }) => build("option", { value }, text)), build("option", { value: "colour" }, "a colour"));
      read = () => (input.value === "colour" ? picker.value : input.value);
      input.value = initial;
      this.fields.set(name, { read, facts, input });
      return build("label", {}, label, build("span", { class: "color" }, input, picker), build("small", {}, "behind the object"));
    }
    if (choices) {
      const none = optional ? [build("option", { value: "" }, name === "viewer" ? "any program with y up" : "as usual")] : [];
      input = build("select", { onchange: changed }, ...none, ...choices.map(({ value, label: text }) => build("option", { value }, text)));
      read = () => (input.value === "" ? null : choices.find(({ value }) => String(value) === input.value).value);
      input.value = initial ?? "";
    } else if (kind === "boolean") {
      input = build("input", { type: "checkbox", onchange: changed });
      input.checked = Boolean(initial);
      read = () => input.checked;
    } else if (kind === "number" || kind === "integer") {
      input = build("input", { type: "number", step: kind === "integer" ? "1" : "any", placeholder: optional ? "automatic" : "", oninput: changed });
      input.value = initial ?? "";
      read = () => (input.value === "" ? (optional ? null : initial) : Number(input.value));
    } else {
      input = build("input", { type: "text", oninput: changed });
      input.value = initial ?? "";
      read = () => input.value;
    }
    this.fields.set(name, { read, facts, input });
    return build("label", { class: kind === "boolean" ? "check" : null }, ...(kind === "boolean" ? [input, label] : [label, input]), build("small", {}, hint));
  }

  /** The values of the form, and the viewer's view for a still picture. */
  options() {
    const values = {};
    for (const [name, { read }] of this.fields) values[name] = read();
    if (this.path?.keys.length) values.path = this.path.value();
    if (this.facts.still) {
      const view = presentView();
      if (view) {
        Object.assign(values, keyOfView(view), { time: timeOfView(view) });
        values.width ??= Math.max(16, Math.round(values.size * view.aspect));
      }
    }
    return values;
  }

  /** Sets some fields, as from the present view. */
  set(values) {
    for (const [name, value] of Object.entries(values)) {
      const field = this.fields.get(name);
      if (field) field.input.value = value;
    }
    this.changed();
  }

  /** Something of the form was changed: what was made before is no longer what the button gives. */
  changed() {
    this.cancel();
    this.reset();
    clearTimeout(this.waiting);
    this.waiting = setTimeout(() => this.list.estimate([this]), 250);
  }

  reset() {
    this.turn += 1;
    this.file = null;
    this.making = null;
    this.show("Make and download", false);
    this.note.textContent = "";
    this.error.hidden = true;
  }

  show(label, busy) {
    const focused = this.list.shadowRoot.activeElement === this.cancelButton;
    this.button.textContent = label;
    this.button.setAttribute("aria-label", `${label}: ${this.facts.title}`);
    this.button.hidden = busy;
    this.progress.hidden = this.cancelButton.hidden = !busy;
    if (busy) this.progress.removeAttribute("value");
    else if (focused) this.button.focus(); // its button goes
  }

  showEstimate(bytes) {
    if (!this.file) this.size.textContent = bytes ? `about ${megabytes(bytes)} · ` : "";
  }

  async press() {
    if (this.file) return this.download();
    const turn = (this.turn += 1);
    this.error.hidden = true;
    this.show("Making …", true);
    this.cancelButton.focus();
    try {
      const body = { format: this.facts.name, options: this.options(), original: this.list.original.value === "1" };
      let state = await askServer(this.list.address("exports"), "POST", body);
      if (turn !== this.turn) return void this.drop(state);
      this.making = state;
      while (state.state === "waiting" || state.state === "working") {
        this.showProgress(state);
        await new Promise((resolve) => setTimeout(resolve, POLL_MS));
        if (turn !== this.turn) return;
        state = await askServer(this.list.address(`exports/${state.id}`));
        if (turn !== this.turn) return;
      }
      this.making = null;
      if (state.state !== "finished") throw new Error(state.error || "The export was cancelled.");
      this.finish(state);
    } catch (error) {
      if (turn !== this.turn) return;
      this.reset();
      this.error.textContent = error.message;
      this.error.hidden = false;
    }
  }

  showProgress({ state, task, done, total }) {
    if (total > 1) {
      this.progress.max = total;
      this.progress.value = done;
    }
    this.note.textContent = state === "waiting" ? "Waiting for its turn …" : total > 1 ? `${task}, ${done} of ${total}` : `${task} …`;
  }

  finish(state) {
    this.file = state;
    this.show("Download again", false);
    this.size.textContent = `${megabytes(state.size)} · `;
    this.note.textContent = `${state.name}, ${megabytes(state.size)}`;
    this.download();
  }

  download() {
    const link = build("a", { href: this.list.address(`exports/${this.file.id}/file`), download: this.file.name, hidden: true });
    this.list.shadowRoot.append(link);
    link.click();
    link.remove();
  }

  cancel() {
    if (this.button.hidden === false) return;
    if (this.making) this.drop(this.making);
    this.reset();
    this.note.textContent = "Cancelled.";
  }

  async drop({ id }) {
    await askServer(this.list.address(`exports/${id}`), "DELETE").catch(() => {}); // it ended meanwhile, or the server is gone
  }
}

customElements.define("ar4d-exports", ExportCards);
