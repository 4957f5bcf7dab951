// What the figures about convolutions share: a layer's arithmetic along one axis, and their sliders.

/** Pixels from the first to the last tap, both counted. */
const reach = ({ kernel, dilation }) => dilation * (kernel - 1) + 1;

/** Outputs for `size` inputs; 0 or less if the kernel reaches past the padded input. */
const outputSize = (size, layer) =>
  Math.floor((size + 2 * layer.padding - reach(layer)) / layer.stride) + 1;

/** The inputs that an output reads; those below 0 or past the end are padding. */
const taps = (output, { kernel, stride, padding, dilation }) =>
  Array.from({ length: kernel }, (_, tap) => output * stride - padding + tap * dilation);

/** Why PyTorch would refuse the layer, and what to do where the padding goes up to `most`; null if it would not. */
const fault = (size, layer, most = Infinity) => {
  if (layer.kind === "pooling" && 2 * layer.padding > layer.kernel) { // whatever its dilation
    return `Padding ${layer.padding} is more than half of the pooling’s kernel ${layer.kernel}. ` +
      `Pad by ${Math.floor(layer.kernel / 2)} or less.`;
  }
  const padded = size + 2 * layer.padding;
  if (reach(layer) <= padded) return null;
  const lacking = Math.ceil((reach(layer) - size) / 2);
  const dilated = layer.dilation > 1; // else it cannot be less
  return `Kernel ${layer.kernel} with dilation ${layer.dilation} reaches ${reach(layer)} pixels, ` +
    `but the padded input has ${padded}. ` +
    (lacking <= most ? `Pad by ${lacking} or more, or ${dilated ? "dilate less" : "take a smaller kernel"}.`
      : `${dilated ? "Dilate less, or take" : "Take"} a smaller kernel.`);
};

// ------------------------------------------------------------------------------------ parts

/** Their style, behind that of all figures. */
const PARTS = `
select {
  background: var(--faint); border: 1px solid currentcolor; border-radius: 0.25rem;
  min-height: 2.25rem; padding: 0.25rem 0.9rem;
}
option { background: Canvas; color: CanvasText; }
p { margin: 0.6rem 0; }
.row { align-items: start; display: flex; flex-wrap: wrap; gap: 0.6rem 1.5rem; margin: 1rem 0; }
.title { font-weight: 600; margin: 0 0 0.3rem; }
.sliders {
  display: grid; gap: 0.2rem 1rem; grid-template-columns: repeat(auto-fill, minmax(8.25rem, 1fr));
}
.sliders label { align-items: center; display: grid; gap: 0 0.5rem; grid-template-columns: 1fr 2.2rem; }
.sliders span { grid-column: 1 / 3; line-height: 1.3; }
.sliders b { font-weight: inherit; }
.sliders input { height: 1.5rem; margin: 0; min-width: 0; outline-offset: 0; width: 100%; }
.sliders b, td { font-variant-numeric: tabular-nums; }
`;

/** 12345 as "12,345", -1 as "−1". */
const written = (number) => number.toLocaleString("en-GB").replace("-", "−");

/** A slider for each of `limits`, `{ name: { start, least, most } }`; `changed` hears of a move. */
const sliders = (limits, given, changed) => {
  const values = {};
  const parts = {};
  const panel = element("div", { class: "sliders" });
  for (const [name, { start, least, most }] of Object.entries(limits)) {
    values[name] = given[name] ?? start;
    const input = element("input", { type: "range", min: least, max: most, value: values[name] });
    // The slider itself tells a screen reader its value.
    const shown = element("b", { "aria-hidden": "true" }, String(values[name]));
    parts[name] = { input, shown };
    input.addEventListener("input", () => {
      values[name] = input.valueAsNumber;
      shown.textContent = input.value;
      changed();
    });
    panel.append(element("label", {}, element("span", {}, name.replace("_", " ")), input, shown));
  }
  /** Move a slider from outside, within limits that may be new. */
  const set = (name, value, most = parts[name].input.max, least = parts[name].input.min) => {
    const { input, shown } = parts[name];
    input.max = most;
    input.min = least;
    input.value = value;
    values[name] = input.valueAsNumber;
    shown.textContent = input.value;
  };
  return { panel, values, set };
};
