// The player's keys, and the list of them.

const MODES = ["rgb", "depth", "alpha"];

/** Keys, what they do, and whether only a server's viewer has them. */
export const KEYS = [
  ["Space", "play or pause"],
  ["J K L", "backwards, pause, forwards"],
  [", .", "one frame back, on"],
  ["[ ]", "slower, faster"],
  ["Home End", "first, last frame"],
  ["O", "loop"],
  ["R T", "reset view, turntable"],
  ["X", "full screen"],
  ["M", "colour, depth, alpha"],
  ["V F", "input video, the clip’s camera"],
  ["B N", "background, floor"],
  ["W A S D Q E", "fly: ahead, left, back, right, down, up"],
  ["G", "server render", "served"],
  ["1 2 3 …", "the stages, then compare", "served"],
  ["?", "this list"],
  ["Esc", "close what is open"],
];

/** @param controls see controls.js */
export function listenToKeys(controls, player) {
  window.addEventListener("keydown", (event) => {
    const { target } = event;
    if (!player.state || event.ctrlKey || event.metaKey || event.altKey) return;
    if (!(target instanceof Element) || target.matches("select, textarea")) return;
    if (event.key === "Escape") return controls.openOptions(false); // a dialog closes by itself
    if (target.closest("dialog") && event.key !== "?") return;
    const action = actions(controls, player, target)[event.key.toLowerCase()];
    if (!action) return;
    event.preventDefault(); // also: space would press a focused button as well
    event.stopPropagation();
    action();
  });
}

function actions(controls, player, target) {
  const { clock, pilot } = player;
  const keys = {
    " ": () => controls.act("play"),
    k: () => (clock.playing = false),
    j: () => player.play(() => clock.play(-1)),
    l: () => player.play(() => clock.play(1)),
    ",": () => controls.act("back"),
    ".": () => controls.act("forward"),
    "[": () => clock.faster(-1),
    "]": () => clock.faster(1),
    home: () => player.scrub(0),
    end: () => player.scrub(clock.last),
    o: () => controls.act("loop"),
    m: () => (player.mode = MODES[(MODES.indexOf(player.mode) + 1) % MODES.length]),
    r: () => pilot.flyTo("reference"),
    t: () => controls.act("turntable"),
    v: () => controls.act("input"),
    f: () => controls.act("frustum"),
    b: () => controls.act("backdrop"),
    n: () => controls.act("floor"),
    x: () => controls.act("fullscreen"),
    "?": () => controls.act("help"),
  };
  if (player.state.maxPixels) keys.g = () => controls.act("live");
  if (target.matches("[type=range]")) {
    keys.arrowleft = keys.arrowdown = keys[","];
    keys.arrowright = keys.arrowup = keys["."];
  }
  [...player.state.stages.map(({ name }) => name), "compare"].forEach((stage, i) => {
    keys[i + 1] = () => player.setStage(stage);
  });
  return keys;
}
