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

