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
const counting = (name, { kernel, in_channels, out_channels }) => name === "separable"
  ? `${kernel}² · ${in_channels} + ${in_channels} · ${out_channels}`
  : `${kernel}² · ${in_channels} · ${out_channels}`;

/** The rows of `times` that were measured at exactly these sliders; null where there is none. */
const measuredAt = ({ kernel, dilation, in_channels, out_channels, size }, times) => {
  const of = (group) => in_channels === out_channels && kernel === group.kernel && size === group.size;
  const { dilation: plain, separable } = times;
  const wide = of(plain) && in_channels === plain.channels;
  return {
    dense: (wide && plain.rows.find((row) => row.dilation === 1)) || null,
    dilated: (wide && plain.rows.find((row) => row.dilation === dilation)) || null,
    separable: (of(separable) && separable.rows.find((row) => row.channels === in_channels)) || null,
  };
};

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
table { border-collapse: collapse; font-size: 0.9375rem; margin: 1rem 0; width: 100%; }
caption { font-weight: 600; text-align: left; }
th, td { border-bottom: 1px solid var(--line); font-variant-numeric: tabular-nums; padding: 0.2rem; text-align: right; }
thead th { font-weight: inherit; vertical-align: bottom; }
th:first-child { padding-left: 0; text-align: left; }
th button { min-height: 1.8rem; padding: 0 0.4rem; }
[aria-current] { background: var(--faint); font-weight: 600; }
.notes { font-size: 0.875rem; }
@media print { .bar, .pattern { print-color-adjust: exact; } }
`, (root, given) => {
  const { times } = given;
  const lines = []; // of the tables of times, with what they show
  const blocks = element("div", { class: "blocks" });
  const { said, spoken } = readAloud();
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
          element("dd", {}, `${counting(name, values)} = `, element("strong", {}, written(parameters)), bar),
          element("dt", {}, "Multiply-adds"),
          element("dd", {}, `weights · ${size}² = `, element("strong", {}, written(multiplyAdds))),
          element("dt", {}, "Field"),
          element("dd", {}, element("strong", {}, `${field} × ${field}`))));
    }));
    const share = found.separable.parameters / found.dense.parameters;
    const { dense, dilated, separable } = measuredAt(values, times);
    const measured = [
      separable && `the dense block takes ${separable.forward} times as long as the separable one ` +
        `forward, ${separable.training} times in training`,
      dense && dilated && dilated !== dense && `dilation ${dilation} takes ` +
        `${(dilated.forward / dense.forward).toFixed(2)} times as long as none forward, ` +
        `${(dilated.step / dense.step).toFixed(2)} times in training`,
    ].filter(Boolean);
    said.textContent = `The separable block has ${(100 * share).toFixed(1)} % of the dense one’s ` +
      "weights and multiply-adds: 1 / out channels + 1 / kernel². Dilation changes only the field. " +
      (measured.length ? `Measured at this shape: ${measured.join("; ")}.`
        : "At this shape no time was measured.");
    for (const { line, row } of lines) {
      if (row === dilated || row === dense || row === separable) line.setAttribute("aria-current", "true");
      else line.removeAttribute("aria-current");
    }
  };

  /** A table of what was measured; a button in each line moves the sliders to its shape. */
  const table = (caption, head, group, line) => element("table", {},
    element("caption", {}, caption),
    element("thead", {}, element("tr", {}, ...head.map((each) => element("th", { scope: "col" }, each)))),
    element("tbody", {}, ...group.rows.map((row) => {
      const { name, shape, cells } = line(row);
      const go = element("button", { type: "button" }, name);
      go.addEventListener("click", () => {
        for (const [slider, value] of Object.entries({ kernel: group.kernel, size: group.size, ...shape })) {
          set(slider, value);
        }
        redraw();
      });
      const made = element("tr", {}, element("th", { scope: "row" }, go),
        ...cells.map((cell) => element("td", {}, cell)));
      lines.push({ line: made, row });
      return made;
    })));

  const { panel, values, set } = sliders(PARAMETERS, given, redraw);
  const { dilation: plain, separable } = times;
  root.append(panel, blocks, said, spoken,
    table("Measured: how many times as much the dense block takes as the separable one",
      ["channels in and out", "multiply-adds", "time forward", "time in training"], separable, (row) => {
        const shape = { in_channels: row.channels, out_channels: row.channels };
        const { dense, separable: cheap } = costs({ ...shape, kernel: separable.kernel, dilation: 1, size: separable.size });
        return {
          name: String(row.channels), shape,
          cells: [dense.multiplyAdds / cheap.multiplyAdds, row.forward, row.training].map(
            (ratio) => `${ratio.toFixed(2)} ×`),
        };
      }),
    element("p", { class: "notes" }, `3 × 3 blocks with batch norm and ReLU, ${separable.images} images of ` +
      `${separable.size} × ${separable.size} pixels. ${separable.machine}.`),
    table("Measured: milliseconds of a dense convolution, by its dilation",
      ["dilation", "forward", "training step"], plain, (row) => ({
        name: String(row.dilation),
        shape: { dilation: row.dilation, in_channels: plain.channels, out_channels: plain.channels },
        cells: [row.forward, row.step].map((time) => `${time.toFixed(1)} ms`),
      })),
    element("p", { class: "notes" }, `3 × 3, ${plain.channels} → ${plain.channels} channels, ${plain.images} ` +
      `images of ${plain.size} × ${plain.size} pixels, without batch norm. ${plain.machine}.`));
  redraw();
});
