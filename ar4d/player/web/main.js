// Starts the player: the poster at once, viser's client, then the data.

import * as bridge from "ar4d/bridge.js";
import { part } from "ar4d/controls.js";
import { Player } from "ar4d/player.js";

const NO_WEBGL = "This browser cannot draw in 3D here: WebGL 2 is missing or switched off. A current Chrome, Edge, Firefox or Safari shows the object moving.";
const NO_CLIENT = "The viewer could not be loaded; check the connection and reload the page.";

/** What the page says about itself: ar4d/player/page.py. */
const config = JSON.parse(document.getElementById("ar4d-config").textContent);
const query = new URLSearchParams(location.search);

/** Sets light or dark: by the address (?theme=dark, or Gradio's ?__theme=), by the surrounding page, or by the system. */
function followTheme() {
  const system = matchMedia("(prefers-color-scheme: dark)");
  const asked = query.get("theme") ?? query.get("__theme") ?? config.theme;
  const set = (dark) => (document.documentElement.dataset.theme = dark ? "dark" : "light");
  set(asked ? asked === "dark" : system.matches);
  if (!asked) system.addEventListener("change", (event) => set(event.matches));
  window.addEventListener("message", ({ data }) => data?.ar4dTheme && set(data.ar4dTheme === "dark"));
}

/** viser's loader: in the page, or beside it. */
async function client() {
  const inside = /** @type {HTMLScriptElement | null} */ (document.getElementById("viser-client"));
  if (inside) return inside;
  const answer = await fetch(config.client);
  if (!answer.ok) throw new Error(answer.statusText);
  return new DOMParser().parseFromString(await answer.text(), "text/html").querySelector("script");
}

function fail(sentence) {
  for (const name of ["loading", "empty", "start"]) part(name).hidden = true;
  part("failure").textContent = sentence;
  part("failure").hidden = false;
}

async function start() {
  if (!bridge.supported()) return fail(NO_WEBGL);
  part("loading").hidden = false;
  try {
    bridge.start(config.scene, await client());
  } catch {
    return fail(NO_CLIENT);
  }
  window.ar4d = new Player(config, query, fail); // reachable for tests
}

followTheme();
if (query.has("poster")) {
  part("start").hidden = false;
  part("start").onclick = () => {
    part("start").hidden = true;
    start();
  };
} else {
  start();
}
