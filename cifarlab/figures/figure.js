// What all figures share: their look, how elements are made, and how a figure comes to life.

// A colour is the book's, else Jupyter's; text takes that of the page around it, so the rest,
// mixed from the text's colour, fits light and dark pages alike.
const LOOK = `
:host {
  --accent: var(--pst-color-primary, var(--jp-brand-color1, #26859f));
  --second: var(--pst-color-secondary, var(--jp-warn-color1, #c06a10));
  --line: color-mix(in srgb, currentcolor 30%, transparent);
  --faint: color-mix(in srgb, currentcolor 8%, transparent);
  color: var(--pst-color-text-base, var(--jp-ui-font-color1, inherit));
  display: block;
  font-family: var(--pst-font-family-base, var(--jp-ui-font-family, system-ui, sans-serif));
  font-size: 1rem;
  line-height: 1.5;
  margin: 1rem 0;
  max-width: 44rem;
}
* { box-sizing: border-box; }
button, input, select { accent-color: var(--accent); color: inherit; font: inherit; }
button {
  background: var(--faint); border: 1px solid currentcolor; border-radius: 0.25rem;
  cursor: pointer; min-height: 2.25rem; padding: 0.25rem 0.9rem;
}
button:hover { background: var(--line); }
:focus-visible { outline: 3px solid var(--second); outline-offset: 2px; }
.bar { background: var(--faint); height: 0.6rem; margin-top: 0.2rem; }
.bar div { background: var(--accent); height: 100%; min-width: 1px; }
code { font-family: var(--pst-font-family-monospace, var(--jp-code-font-family, monospace)); }
.spoken { block-size: 1px; clip-path: inset(50%); inline-size: 1px; margin: 0; overflow: hidden; position: absolute; white-space: nowrap; }
/* A theme of high contrast takes backgrounds away, but these are what is shown; text as it is there. */
@media (forced-colors: active) {
  [role="gridcell"], .bar { color: CanvasText; forced-color-adjust: none; }
}
@media print {
  :host { print-color-adjust: exact; }
  button, input[type="range"] { display: none; }
  th button { background: none; border: 0; display: inline; font: inherit; padding: 0; }
  input[type="number"], select {
    appearance: none; background: none !important; border: 0 !important;
  }
  form, table, .row { break-inside: avoid; }
  .scroll { max-height: none !important; overflow: visible !important; }
}
`;

const sum = (numbers) => numbers.reduce((before, number) => before + number, 0);
const mean = (numbers) => sum(numbers) / numbers.length;

/** `node` with these attributes and children. */
const filled = (node, attributes, children) => {
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  node.append(...children);
  return node;
};

/** element("p", { class: "note" }, "Some ", element("em", {}, "text")) */
const element = (tag, attributes = {}, ...children) =>
  filled(document.createElement(tag), attributes, children);

/** svg("circle", { cx: 3, cy: 4, r: 5 }), to be put into an svg("svg", ...) */
const svg = (tag, attributes = {}, ...children) =>
  filled(document.createElementNS("http://www.w3.org/2000/svg", tag), attributes, children);

/** Text in which `backticks` mark code, as a list of nodes and strings. */
const withCode = (text) =>
  text.split("`").map((part, place) => (place % 2 ? element("code", {}, part) : part));

const RESTED = 400; // milliseconds without a change, after which a voice may speak

/** An element that is only heard; `say` has it speak, unless other words or a `hush` follow at once. */
const voice = () => {
  const spoken = element("p", { class: "spoken", role: "status" });
  let resting = 0;
  const hush = () => clearTimeout(resting);
  const say = (words) => {
    hush();
    resting = setTimeout(() => { spoken.textContent = words; }, RESTED);
  };
  return { spoken, say, hush };
};

/** A line to be read, `said`, and a voice that says what comes to stand there after a figure's start. */
const readAloud = () => {
  const said = element("p", { class: "said" });
  const { spoken, say } = voice();
  let begun = false;
  new MutationObserver(() => {
    if (begun) say(said.textContent);
    begun = true;
  }).observe(said, { childList: true });
  return { said, spoken };
};

/**
 * Draw `host` once it is less than a window away, or when someone types or prints. The observer is
 * told its place when the browser has laid out the page; to ask here would make it lay out now.
 */
const whenNear = (host) => {
  const near = new IntersectionObserver((entries) => {
    if (entries.some(({ isIntersecting }) => isIntersecting)) draw();
  }, { rootMargin: "100% 0px" });
  const draw = () => {
    near.disconnect();
    host.draw();
  };
  near.observe(host);
  for (const event of ["keydown", "beforeprint"]) addEventListener(event, draw, { once: true });
};

/** Let `<cifarlab-NAME parameters="{...}">` draw itself into its own tree, once. */
const figure = (name, style, draw) => {
  // Each output of a notebook brings the script along; the first one that runs is enough.
  if (customElements.get(`cifarlab-${name}`)) return;
  customElements.define(`cifarlab-${name}`, class extends HTMLElement {
    connectedCallback() {
      if (!this.shadowRoot) whenNear(this); // else it is moved within its page
    }

    draw() {
      if (this.shadowRoot) return;
      const root = this.attachShadow({ mode: "open" });
      root.append(element("style", {}, LOOK + style));
      draw(root, JSON.parse(this.getAttribute("parameters")));
      this.setAttribute("ready", "");
    }
  });
};
