// The list of keys, and the code that embeds the player in another page.

import { KEYS } from "ar4d/keys.js";

export class Dialogs {
  /**
   * @param config what the page says about itself (ar4d/player/page.py)
   * @param {(name: string) => any} part finds an element
   */
  constructor(config, part) {
    this.config = config;
    this.part = part;
    const here = KEYS.filter(([, , served]) => !served || config.stream);
    const rows = here.map(([keys, what]) => `<dt>${keys.split(" ").map((key) => `<kbd>${key}</kbd>`).join(" ")}</dt><dd>${what}</dd>`);
    part("keys").innerHTML = rows.join("");
    for (const name of ["help", "share"]) {
      part(name).addEventListener("click", (event) => event.target === part(name) && part(name).close()); // its backdrop
    }
    this.boxes = /** @type {HTMLInputElement[]} */ ([...part("share").querySelectorAll("[data-embed]")]);
    for (const box of this.boxes) box.onchange = () => this.writeCode();
    for (const button of document.querySelectorAll("#ar4d [data-action=share]")) button.toggleAttribute("hidden", !config.embed);
    part("download").hidden = !config.download;
    if (config.download) part("download").href = config.download;
  }

  toggle(name) {
    const dialog = this.part(name);
    if (dialog.open) return dialog.close();
    if (name === "share") this.writeCode();
    dialog.showModal();
  }

  writeCode() {
    const address = new URL(location.href);
    const fromDisk = address.protocol === "file:";
    const wanted = this.boxes.filter((box) => box.checked).map((box) => box.dataset.embed);
    const page = fromDisk ? address.pathname.split("/").at(-1) : `${address.origin}${address.pathname}`;
    const source = wanted.length ? `${page}?${wanted.join("&")}` : page;
    const title = (this.config.title || "4D object").replace(/["<>&]/g, "");
    this.part("code").value = `<iframe src="${source}" title="${title}" width="640" height="480" style="border:0;border-radius:12px" allow="fullscreen; autoplay" allowfullscreen loading="lazy"></iframe>`;
    this.part("code-hint").textContent = this.hint(fromDisk, address.hostname);
  }

  hint(fromDisk, host) {
    if (fromDisk) return "Put this file beside your page, or change the address to where it lies.";
    if (["localhost", "127.0.0.1", "[::1]"].includes(host)) return "This address is one of your own computer: nobody else can open it. Download the player to show it elsewhere.";
    return "Other sites can show it if this server lets them (AR4D_FRAME_ANCESTORS); the downloaded player works anywhere.";
  }

  /** Copies the code; resolves to what to say about it. */
  async copy() {
    try {
      await navigator.clipboard.writeText(this.part("code").value);
      this.part("share").close();
      return "The code is in the clipboard.";
    } catch {
      this.part("code").select();
      return "This browser does not let a page copy; the code is selected, press Ctrl-C.";
    }
  }
}
