// The page's theme, and the check of uploads for their size.

/** Sends the page's theme to the viewer's frame. */
function sendTheme() {
  const theme = document.body.classList.contains("dark") ? "dark" : "light";
  for (const frame of /** @type {NodeListOf<HTMLIFrameElement>} */ (document.querySelectorAll("iframe.viewer"))) frame.contentWindow?.postMessage({ ar4dTheme: theme }, "*");
}

window.ar4dToggleTheme = () => {
  document.body.classList.toggle("dark");
  try {
    localStorage.setItem("ar4d-theme", document.body.classList.contains("dark") ? "dark" : "light");
  } catch {
    // a browser without storage does not remember the theme
  }
  sendTheme();
};

function rememberedTheme() {
  try {
    return localStorage.getItem("ar4d-theme");
  } catch {
    return null;
  }
}

const remembered = rememberedTheme();
if (remembered && !new URLSearchParams(location.search).has("__theme")) {
  const apply = () => document.body.classList.toggle("dark", remembered === "dark");
  addEventListener("load", () => setTimeout(apply, 0));
}
new MutationObserver(sendTheme).observe(document.body, { attributes: true, attributeFilter: ["class"] });
document.addEventListener("load", (event) => event.target instanceof HTMLIFrameElement && sendTheme(), true);

/** Gradio names its button for files otherwise than what it shows, which a voice cannot press. */
function nameUploads() {
  for (const button of document.querySelectorAll(".upload-container[aria-label]")) button.removeAttribute("aria-label");
}
new MutationObserver(nameUploads).observe(document.body, { childList: true, subtree: true });

/** Plays the examples' clips once the viewer's example plays, which they must not delay; one under the mouse plays at once. */
window.ar4dPlayExamples = (element) => {
  if (matchMedia("(prefers-reduced-motion: reduce)").matches) return;
  const videos = /** @type {HTMLVideoElement[]} */ ([...element.querySelectorAll("video")]);
  const play = (video) => video.play().catch(() => {}); // the browser saves power, or the element is gone
  for (const video of videos) video.parentElement.addEventListener("pointerenter", () => play(video));
  const begin = ({ data }) => {
    if (!(data?.ar4dFrame > 0)) return;
    removeEventListener("message", begin);
    videos.forEach(play);
  };
  addEventListener("message", begin);
};

/** Shows a finished example in the viewer. */
window.ar4dShowExample = (name) => {
  const place = document.querySelector("#viewer .viewer");
  const frame = /** @type {HTMLIFrameElement} */ (place instanceof HTMLIFrameElement ? place : document.createElement("iframe"));
  frame.className = "viewer";
  frame.title = "4D viewer";
  frame.allow = "fullscreen; clipboard-write";
  frame.src = `example/${name}`;
  if (frame !== place) place?.replaceWith(frame);
  if (matchMedia("(max-width: 960px)").matches) frame.scrollIntoView({ behavior: "smooth" });
};

/** Buttons of empty steps lead on: `data-go` names the step. */
addEventListener("click", (event) => {
  const button = event.target instanceof Element ? event.target.closest("[data-go]") : null;
  if (!(button instanceof HTMLElement)) return;
  const tabs = /** @type {NodeListOf<HTMLElement>} */ (document.querySelectorAll("#steps [role=tab]"));
  [...tabs].find((tab) => tab.textContent?.includes(button.dataset.go ?? ""))?.click();
});

/** Whether a file exceeds the limit; shows a message if it does. */
function tooLarge(file) {
  const hint = /** @type {HTMLElement | null} */ (document.querySelector("[data-max-mb]"));
  const most = Number(hint?.dataset.maxMb ?? Infinity);
  const size = file ? file.size / 1e6 : 0;
  const notice = /** @type {HTMLElement | null} */ (document.querySelector("#too-large"));
  if (notice) notice.hidden = size <= most;
  if (size <= most) return false;
  if (notice) notice.textContent = `${file.name} has ${Math.ceil(size)} MB and this server accepts at most ${most} MB; make it shorter or smaller.`;
  return true;
}

/** Stops the upload of a file that is too large. */
function refuse(event, files) {
  if (!event.target.closest?.("#steps") || !files?.length || !tooLarge(files[0])) return;
  event.preventDefault();
  event.stopImmediatePropagation();
  if (event.target instanceof HTMLInputElement) event.target.value = "";
}
addEventListener("change", (event) => event.target instanceof HTMLInputElement && refuse(event, event.target.files), true);
addEventListener("drop", (event) => refuse(event, event.dataTransfer?.files), true);
