// <ar4d-facing>: eight arrows round the first frame, seen from above: down is at the camera.

// Row by row; the picture stands in the middle.
const FACING_ORDER = ["back-left", "back", "back-right", "left", null, "right", "front-left", "front", "front-right"];
const FACING_TURN = { back: 0, "back-right": 45, right: 90, "front-right": 135, front: 180, "front-left": 225, left: 270, "back-left": 315 };
const FACING_STYLE = `
  :host { display: block; }
  .dial { display: grid; grid-template-columns: 44px minmax(90px, 150px) 44px; grid-template-rows: 44px auto 44px; gap: 4px; justify-content: center; }
  img { width: 100%; aspect-ratio: 1; object-fit: contain; border-radius: 10px; background: #fff; }
  button {
    display: grid; place-items: center; min-width: 44px; min-height: 44px; padding: 0; justify-self: center; align-self: center;
    border: 1px solid var(--border-color-primary); border-radius: 50%; background: var(--block-background-fill);
    color: inherit; font: inherit; font-size: 18px; cursor: pointer;
  }
  button.guess { border: 2px dashed var(--color-accent); }
  button[aria-checked="true"] { border: 2px solid var(--color-accent); background: var(--color-accent); color: var(--on-accent); }
  span { display: block; line-height: 1; }
  button:focus-visible { outline: 2px solid var(--color-accent); outline-offset: 2px; }
`;

class Facing extends HTMLElement {
  static observedAttributes = ["data-facts", "data-picture"];

  connectedCallback() {
    this.attachShadow({ mode: "open" });
    this.build();
  }

  attributeChangedCallback() {
    if (this.shadowRoot) this.build();
  }

  build() {
    const { chosen, guess } = JSON.parse(this.dataset.facts);
    const focused = /** @type {HTMLElement | null} */ (this.shadowRoot.activeElement)?.dataset.name;
    const arrow = (name) => {
      const guessed = guess.includes(name);
      const label = `Faces ${name}${guessed ? ", the guess" : ""}`;
      return `<button type="button" role="radio" data-name="${name}" class="${guessed ? "guess" : ""}" aria-label="${label}" title="${label}"
        aria-checked="${name === chosen}"><span style="transform: rotate(${FACING_TURN[name]}deg)">↑</span></button>`;
    };
    const cells = FACING_ORDER.map((name) => (name ? arrow(name) : `<img src="${this.dataset.picture}" alt="The first frame">`));
    this.shadowRoot.innerHTML = `<style>${FACING_STYLE}</style><div class="dial" role="radiogroup" aria-label="Which way does it face?">${cells.join("")}</div>`;
    for (const button of /** @type {NodeListOf<HTMLElement>} */ (this.shadowRoot.querySelectorAll("button"))) {
      button.addEventListener("click", () => this.choose(button.dataset.name === chosen ? "auto" : button.dataset.name));
      if (button.dataset.name === focused) button.focus();
    }
  }

  choose(facing) {
    this.dispatchEvent(new CustomEvent("ar4d-facing", { bubbles: true, composed: true, detail: { facing } }));
  }
}

customElements.define("ar4d-facing", Facing);
