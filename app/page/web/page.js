// Small things that the page needs in the browser.

/** The viewer's frame follows the page's light or dark. */
function tellTheme() {
  const theme = document.body.classList.contains("dark") ? "dark" : "light";
  for (const frame of document.querySelectorAll("iframe.viewer")) frame.contentWindow?.postMessage({ ar4dTheme: theme }, "*");
}

window.ar4dToggleTheme = () => {
  document.body.classList.toggle("dark");
  try {
    localStorage.setItem("ar4d-theme", document.body.classList.contains("dark") ? "dark" : "light");
  } catch {
    // a browser without storage forgets
  }
  tellTheme();
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
new MutationObserver(tellTheme).observe(document.body, { attributes: true, attributeFilter: ["class"] });
document.addEventListener("load", (event) => event.target.matches?.("iframe.viewer") && tellTheme(), true);


/** A file that is too large is told of at once, and not sent at all. */
function tooLarge(file) {
  const hint = document.querySelector("[data-max-mb]");
  const most = Number(hint?.dataset.maxMb ?? Infinity);
  const size = file ? file.size / 1e6 : 0;
  const notice = document.querySelector("#too-large");
  if (notice) notice.hidden = size <= most;
  if (size <= most) return false;
  if (notice) notice.textContent = `${file.name} is ${Math.ceil(size)} MB large and this server takes at most ${most} MB; make it shorter or smaller.`;
  return true;
}

const refuse = (event, files) => {
  if (!event.target.closest?.("#steps") || !files?.length || !tooLarge(files[0])) return;
  event.preventDefault();
  event.stopImmediatePropagation();
  if (event.target.matches("input")) event.target.value = "";
};
addEventListener("change", (event) => event.target.matches?.("input[type=file]") && refuse(event, event.target.files), true);
addEventListener("drop", (event) => refuse(event, event.dataTransfer?.files), true);
