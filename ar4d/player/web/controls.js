// The controls below the canvas, which show and change the player's state.

import * as bridge from "ar4d/bridge.js";
import { SPEEDS } from "ar4d/clock.js";
import { Dialogs } from "ar4d/dialogs.js";
import { listenToKeys } from "ar4d/keys.js";

const PICTURES = 4; // that viser draws after the first splats have been sent, before they are surely seen

const root = document.getElementById("ar4d");
/** @returns {any} the element of a part of the controls */
export const part = (name) => root.querySelector(`[data-part="${name}"]`);
const icon = (name) => part("play-icon").setAttribute("href", `#i-${name}`);

export class Controls {
  /** @param player the state that the controls change; see player.js */
  constructor(player, config) {
    this.player = player;
    this.dialogs = new Dialogs(config, part);
    this.first = null; // how many pictures viser had drawn when the first splats were sent
    this.ticks = 0;
    this.text = "";
    this.titles = new Map(); // short titles of the stages by name
    part("speed").replaceChildren(...SPEEDS.map((speed) => new Option(`${speed}×`, String(speed))));
    part("speed").value = String(player.clock.speed);
    for (const i of [0, 1]) {
      part(`half-${i}`).onchange = (event) => player.setHalf(i, event.target.value);
    }
    root.querySelector("[data-action=fullscreen]").toggleAttribute("hidden", !document.fullscreenEnabled); // an iPhone's browser has none
    this.listen();
    listenToKeys(this, player);
  }

  listen() {
    const { player } = this;
    const scrub = part("scrub");
    scrub.oninput = () => player.scrub(Number(scrub.value));
    part("speed").onchange = (event) => (player.clock.speed = Number(event.target.value));
    part("view").onchange = (event) => {
      player.pilot.flyTo(event.target.value);
      event.target.value = "";
      event.target.blur();
    };
    part("backdrop").onchange = (event) => {
      player.setBackdrop(event.target.value);
      event.target.blur();
    };
    part("input-size").onclick = () => {
      const figure = part("input");
      figure.dataset.large = String(figure.dataset.large !== "true");
    };
    root.addEventListener("click", (event) => {
      const { action, stage, mode } = /** @type {Element} */ (event.target).closest("button")?.dataset ?? {};
      if (action) this.act(action);
      if (stage) player.setStage(stage);
      if (mode) player.mode = mode;
    });
    document.addEventListener("pointerdown", (event) => {
      const inside = /** @type {Element} */ (event.target).closest(".more, .toggle-more");
      if (!inside) this.openOptions(false);
    });
    part("timeline").addEventListener("pointermove", (event) => this.preview(event));
    part("timeline").addEventListener("pointerleave", () => (part("hover").hidden = true));
  }

  /** Opens or closes the options, where the window is too small to show them always. */
  openOptions(open) {
    part("more").dataset.open = String(open);
    root.querySelector("[data-action=more]").setAttribute("aria-expanded", String(open));
  }

  act(action) {
    const { player } = this;
    const { clock } = player;
    const actions = {
      play: () => player.play(clock.toggle.bind(clock)),
      back: () => player.play(() => clock.step(-1)),
      forward: () => player.play(() => clock.step(1)),
      loop: () => (clock.loop = !clock.loop),
      turntable: () => (player.pilot.turntable = !player.pilot.turntable),
      input: () => (player.showInput = !player.showInput),
      frustum: () => (player.showFrustum = !player.showFrustum),
      floor: () => (player.showFloor = !player.showFloor),
      backdrop: () => this.nextBackdrop(),
      live: () => player.setLive(!player.live),
      reset: () => player.pilot.flyTo("reference"),
      help: () => this.dialogs.toggle("help"),
      share: () => this.dialogs.toggle("share"),
      copy: () => this.dialogs.copy().then((said) => this.say(said)),
      more: () => this.openOptions(part("more").dataset.open !== "true"),
      fullscreen: () => (document.fullscreenElement ? document.exitFullscreen() : document.body.requestFullscreen()),
    };
    actions[action]();
  }

  /** Shows the next colour behind the object. */
  nextBackdrop() {
    const choice = part("backdrop");
    choice.selectedIndex = (choice.selectedIndex + 1) % choice.options.length;
    this.player.setBackdrop(choice.value);
  }

  /** Shows the input's frame under the pointer. */
  preview(event) {
    const { clock, state, inputs } = this.player;
    const box = part("scrub").getBoundingClientRect();
    const share = Math.min(Math.max((event.clientX - box.left - 7) / (box.width - 14), 0), 1);
    const frame = share * Math.max(state.numFrames - 1, 0);
    const hover = part("hover");
    const [canvas, label] = hover.children;
    hover.hidden = state.numFrames < 2;
    hover.style.left = `clamp(40px, ${event.clientX - box.left}px, calc(100% - 40px))`;
    const quality = state.psnr[Math.round(frame)];
    const psnr = quality ? ` · ${quality.toFixed(1)} dB` : "";
    label.textContent = `${(frame / clock.fps).toFixed(2)} s · ${Math.round(frame) + 1}${psnr}`;
    canvas.hidden = !inputs.draw(canvas, Math.round(frame));
  }

  /** Shows the state. It runs in every animation frame and writes changes only. */
  update() {
    const { player } = this;
    const { clock, state } = player;
    const scrub = part("scrub");
    if (Number(scrub.max) !== Math.max(state.numFrames - 1, 0)) scrub.max = Math.max(state.numFrames - 1, 0);
    if (document.activeElement !== scrub || !scrub.matches(":active")) scrub.value = clock.position;
    const seconds = (clock.position / clock.fps).toFixed(2);
    const length = (Math.max(state.numFrames - 1, 0) / clock.fps).toFixed(2);
    const frame = (clock.position + 1).toFixed(clock.position % 1 ? 1 : 0);
    this.write(`<span class="long">frame ${frame} of ${state.numFrames} · </span>${seconds} / ${length} s`);
    if (this.playing !== clock.playing) {
      this.playing = clock.playing;
      icon(this.playing ? "pause" : "play");
      root.querySelector(".play").setAttribute("aria-label", this.playing ? "Pause" : "Play");
    }
    if (Number(part("speed").value) !== clock.speed) part("speed").value = clock.speed;
    this.press({
      loop: clock.loop,
      turntable: player.pilot.turntable,
      input: player.showInput,
      frustum: player.showFrustum,
      floor: player.showFloor,
      live: player.live,
    });
    if (!this.revealed) this.reveal();
    check("stages", "stage", player.stage);
    check("modes", "mode", player.mode);
  }

  /** Lets the poster fade out once viser has drawn the first splats. */
  reveal() {
    const { splats, pictures } = this.player;
    if (!splats.counts.shown && !pictures.counts.shown) return;
    this.first ??= bridge.pictures();
    if (bridge.pictures() < this.first + PICTURES) return;
    this.revealed = true;
    part("loading").hidden = true;
    if (part("poster")) part("poster").dataset.over = "true";
  }

  write(text) {
    if (text === this.text) return;
    this.text = text;
    part("time").innerHTML = text;
  }

  press(buttons) {
    for (const [action, on] of Object.entries(buttons)) {
      for (const button of root.querySelectorAll(`[data-action="${action}"]`)) {
        if (button.ariaPressed !== String(on)) button.ariaPressed = String(on);
      }
    }
  }

  /** Takes a new state of the run. */
  setState(state) {
    const { player } = this;
    const { firstDone, framesDone } = state;
    const ready = framesDone > firstDone || state.finished;
    root.dataset.ready = String(ready);
    part("empty").hidden = ready;
    if (!ready) part("loading").hidden = true;
    root.querySelector("[data-action=live]").toggleAttribute("hidden", !state.maxPixels);
    const last = Math.max(state.numFrames - 1, 1);
    const [from, to] = state.finished ? [0, last] : [firstDone, Math.max(framesDone - 1, firstDone)];
    part("done").style.left = `${(100 * from) / last}%`;
    part("done").style.width = `${(100 * (to - from)) / last}%`;
    if (this.ticks !== state.numFrames) {
      this.ticks = state.numFrames;
      const ticks = Array.from({ length: state.numFrames }, (_, i) => `<i class="tick" style="left:${(100 * i) / last}%"></i>`);
      part("ticks").innerHTML = ticks.join("");
    }
    [...part("ticks").children].forEach((tick, i) => (tick.dataset.done = String((i >= firstDone && i < framesDone) || state.finished)));
    this.setProgress(state);
    this.setStages(state.stages);
    const available = player.available();
    for (const button of part("stages").children) {
      const { stage } = button.dataset;
      button.disabled = stage === "compare" ? available.length < 2 : !available.includes(stage);
    }
    for (const i of [0, 1]) {
      part(`half-${i}`).replaceChildren(...available.map((stage) => new Option(this.titles.get(stage), stage)));
      part(`half-${i}`).value = player.halves[i];
    }
  }

  /** One button for each stage of the run, and one to compare two of them. */
  setStages(stages) {
    const titles = new Map(stages.map(({ name, shortTitle }) => [name, shortTitle]));
    if ([...titles].join() === [...this.titles].join()) return;
    this.titles = titles;
    const buttons = stages.map(({ name, title, shortTitle }, i) => choice(name, shortTitle, `${title} (${i + 1})`));
    part("stages").hidden = stages.length < 2;
    const compare = choice("compare", "Compare", `Two stages, one camera (${stages.length + 1})`);
    part("stages").replaceChildren(...buttons, compare);
  }

  setProgress({ progress, numFrames, notice, imagined }) {
    part("notice").hidden = !notice;
    part("notice").textContent = notice;
    part("imagined").hidden = imagined === null;
    part("progress").hidden = !progress;
    part("making").style.width = 0;
    if (!progress) return;
    const percent = progress.fraction === null ? "…" : `${Math.round(100 * progress.fraction)} %`;
    if (progress.task) part("progress").textContent = `${progress.task} · ${percent}`;
    else if (progress.frame === null) part("progress").textContent = `${this.titles.get(progress.stage) ?? progress.stage} · ${percent}`;
    else part("progress").textContent = `Frame ${progress.frame + 1} of ${numFrames} · ${percent}`;
    if (progress.frame > 0 && numFrames > 1) {
      part("making").style.left = `${(100 * (progress.frame - 1)) / (numFrames - 1)}%`;
      part("making").style.width = `${(100 * progress.fraction) / (numFrames - 1)}%`;
    }
  }

  setHalves(layout) {
    part("halves").hidden = !layout;
    if (layout) part("halves").dataset.layout = layout;
  }

  setInput(visible, position) {
    part("input").hidden = !(visible && this.player.inputs.draw(part("input-canvas"), Math.round(position)));
  }

  /** Shows a sentence in place of the object; an empty one removes it. */
  setFailure(sentence) {
    part("failure").textContent = sentence;
    part("failure").hidden = !sentence;
  }

  /** Shows a message for a while. */
  say(message) {
    part("toast").textContent = message;
    part("toast").hidden = !message;
    clearTimeout(this.silence);
    if (message) this.silence = setTimeout(() => this.say(""), 6000);
  }
}

/** A button that chooses a stage. */
function choice(stage, text, title) {
  const button = document.createElement("button");
  Object.assign(button, { type: "button", role: "radio", textContent: text, title, ariaChecked: "false" });
  button.dataset.stage = stage;
  return button;
}

function check(group, key, chosen) {
  for (const button of part(group).children) {
    const on = String(button.dataset[key] === chosen);
    if (button.ariaChecked !== on) button.ariaChecked = on;
  }
}
