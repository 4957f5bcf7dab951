// Three ways to make a map from a map: what each costs and how far it looks.
// After convolution.js.

const PARAMETERS = {
  "kernel": { "start": 3, "least": 1, "most": 7 },
  "dilation": { "start": 2, "least": 1, "most": 4 },
  "in_channels": { "start": 32, "least": 1, "most": 256 },
  "out_channels": { "start": 64, "least": 1, "most": 256 },
  "size": { "start": 32, "least": 1, "most": 64 }
};

/** Of each block: its weights without bias, multiply-adds on a map that keeps its size, and field. */
const costs = ({ kernel, dilation, in_channels, out_channels, size }) => {
  const dense = kernel ** 2 * in_channels * out_channels;
  const separable = kernel ** 2 * in_channels + in_channels * out_channels;
  const block = (parameters, field) => ({ parameters, multiplyAdds: parameters * size ** 2, field });
  return {
    dense: block(dense, reach({ kernel, dilation: 1 })),
    dilated: block(dense, reach({ kernel, dilation })),
    separable: block(separable, reach({ kernel, dilation: 1 })),
  };
};

/** How a block's weights are counted, with its numbers. */
const sum = (name, { kernel, in_channels, out_channels }) => name === "separable"
  ? `${kernel}² · ${in_channels} + ${in_channels} · ${out_channels}`
  : `${kernel}² · ${in_channels} · ${out_channels}`;

// ---------------------------------------------------------------------------------- drawing

const WHAT = {
  dense: "Every channel out mixes all taps of all channels in.",
  dilated: "The same taps, further apart.",
  separable: "Each channel by itself (depthwise), then 1×1 mixes the channels.",
};

/** The taps of one channel on as many pixels as the widest block reaches. */
const pattern = (kernel, dilation, side) => {
  const first = (side - reach({ kernel, dilation })) / 2;
  const places = taps(0, { kernel, dilation, stride: 1, padding: -first });
  const squares = Array.from({ length: side ** 2 }, (_, index) => {
    const [y, x] = [Math.floor(index / side), index % side];
    // The widest reach may be even and this one odd: then the taps lie half a pixel off the middle.
    const tap = places.map(Math.floor);
    const kind = tap.includes(y) && tap.includes(x) ? "tap" : "pixel";
    return `<rect x="${x}" y="${y}" width="0.88" height="0.88" rx="0.12" class="${kind}"/>`;
  });
  const drawn = element("div", { class: "pattern" });
  drawn.innerHTML = `<svg viewBox="0 0 ${side} ${side}" role="img" aria-label="${kernel} by ${kernel}
    taps, ${dilation} apart">${squares.join("")}</svg>`;
  return drawn;
};

figure("dense-dilated-separable", `${PARTS}
.blocks { display: grid; gap: 1rem 1.5rem; grid-template-columns: repeat(auto-fit, minmax(11rem, 1fr)); margin: 1rem 0; }
.blocks p { font-size: 0.9375rem; margin: 0.3rem 0; }
.pattern { max-width: 9rem; }
.tap { fill: var(--accent); }
.pixel { fill: currentcolor; fill-opacity: 0.12; }
dl { margin: 0.6rem 0 0; }
dd { margin: 0 0 0.5rem; }
dd strong { font-variant-numeric: tabular-nums; }
.bar { background: var(--faint); height: 0.6rem; margin-top: 0.2rem; }
.bar div { background: var(--accent); height: 100%; min-width: 1px; }
@media print { .bar, .pattern { print-color-adjust: exact; } }
`, (root, given) => {
  const blocks = element("div", { class: "blocks" });
  const said = element("p", { role: "status" });
  const redraw = () => {
    const { kernel, dilation, size } = values;
    const found = costs(values);
    const most = Math.max(...Object.values(found).map(({ parameters }) => parameters));
    blocks.replaceChildren(...Object.entries(found).map(([name, { parameters, multiplyAdds, field }]) => {
      const bar = element("div", { class: "bar" }, element("div", { style: `width: ${(100 * parameters) / most}%` }));
      return element("section", { "aria-label": name },
        element("p", { class: "title" }, name[0].toUpperCase() + name.slice(1)),
        pattern(kernel, name === "dilated" ? dilation : 1, found.dilated.field),
        element("p", {}, WHAT[name]),
        element("dl", {},
          element("dt", {}, "Weights"),
          element("dd", {}, `${sum(name, values)} = `, element("strong", {}, written(parameters)), bar),
          element("dt", {}, "Multiply-adds"),
          element("dd", {}, `weights · ${size}² = `, element("strong", {}, written(multiplyAdds))),
          element("dt", {}, "Field"),
          element("dd", {}, element("strong", {}, `${field} × ${field}`))));
    }));
    const share = found.separable.parameters / found.dense.parameters;
    said.textContent = `The separable block has ${(100 * share).toFixed(1)} % of the dense one's ` +
      "weights and multiply-adds: 1 / out channels + 1 / kernel². Dilation changes only the field.";
  };
  const { panel, values } = sliders(PARAMETERS, given, redraw);
  root.append(panel, blocks, said);
  redraw();
});
