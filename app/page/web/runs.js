// The list of runs: renaming in place, and a question before a run is deleted.

/** The chosen order of the list. */
window.ar4dSort = (list) => /** @type {HTMLSelectElement | null} */ (list.querySelector("select.sort"))?.value ?? "newest";

/** Shows or hides the question in place of a run's buttons. */
window.ar4dAskToDelete = (card, ask) => {
  card.querySelector(".actions").hidden = ask;
  card.querySelector(".sure").hidden = !ask;
  card.querySelector(ask ? ".sure [data-do=keep]" : ".actions [data-do=ask]").focus();
};

/** Turns a run's name into a text field; enter keeps the new name, escape the old one. */
window.ar4dRename = (card, run, rename) => {
  const name = card.querySelector(".name");
  if (name.hidden) return;
  const input = build("input", { type: "text", value: name.textContent, maxlength: 80, "aria-label": "Name of the run" });
  let ended = false; // removing the field takes the focus from it, which ends it again
  const end = (keep) => {
    if (ended) return;
    ended = true;
    const value = input.value.trim();
    input.remove();
    name.hidden = false;
    if (keep && value && value !== name.textContent) rename(value);
  };
  input.addEventListener("keydown", (event) => {
    if (event.key === "Enter") end(true);
    if (event.key === "Escape") end(false);
  });
  input.addEventListener("blur", () => end(true));
  name.hidden = true;
  name.after(input);
  input.focus();
  input.select();
};
