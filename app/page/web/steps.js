/** Opens the step whose tab has a word in its name. */
function openStep(word) {
  const tabs = [.../** @type {NodeListOf<HTMLElement>} */ (document.querySelectorAll("#steps [role=tab]"))];
  tabs.find((tab) => tab.textContent.toLowerCase().includes(word))?.click();
}

// While a run is followed, the document's title says how far it is; when it ends, the page goes to the result.
const TITLE = "AR4D";
const watched = { run: "", state: "" };

function watchRun() {
  const panel = /** @type {HTMLElement | null} */ (document.querySelector("#panel .panel"));
  if (!panel) return;
  const { run, state, title } = panel.dataset;
  const ended = watched.run === run && ["queued", "running"].includes(watched.state) && state !== watched.state;
  watched.run = run;
  watched.state = state;
  if (state === "running" || state === "queued") document.title = `${title} – ${TITLE}`;
  else if (ended && (state === "finished" || state === "failed")) announce(state, title);
}

function announce(state, title) {
  document.title = `${state === "finished" ? "✓" : "!"} ${title} – ${TITLE}`;
  const open = /** @type {HTMLElement | null} */ (document.querySelector("#steps [role=tab][aria-selected=true]"));
  if (state === "finished" && open?.textContent.toLowerCase().includes("generate")) openStep("result");
  if (document.hidden && "Notification" in window && Notification.permission === "granted")
    new Notification(state === "finished" ? "AR4D: your asset is finished" : "AR4D: the run failed", { tag: watched.run });
}

addEventListener("focus", () => {
  if (!["queued", "running"].includes(watched.state)) document.title = TITLE;
});
document.addEventListener("click", (event) => {
  const begins = /** @type {Element} */ (event.target).closest?.("#generate, #resume-run");
  if (begins && "Notification" in window && Notification.permission === "default") Notification.requestPermission();
});
new MutationObserver(watchRun).observe(document.body, { subtree: true, childList: true, attributes: true, attributeFilter: ["data-state", "data-title"] });
