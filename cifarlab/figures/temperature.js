// How sure three networks are of what they say, and how right, at the temperature that one sets.
// After convolution.js.

const PARAMETERS = {
  "sums": { "file": "temperature.json" }
};

/** Of a bin's or of all guesses: how sure they are on average, and which share of them is right. */
const shares = ({ images, right, confidence }) => ({ sure: confidence / images, right: right / images });

/** Bins of confidence, in their order; those without a guess have no shares. */
const bins = ({ images, right, confidence }) => images.map((count, place) => ({
  images: count,
  ...(count ? shares({ images: count, right: right[place], confidence: confidence[place] }) : {}),
}));

/** Sure and right on average, and the calibration error: the mean gap of the bins, by their images. */
const calibration = (row) => {
  const [images, right, confidence] = [row.images, row.right, row.confidence].map(sum);
  const gaps = row.confidence.map((sure, place) => Math.abs(sure - row.right[place]));
  return { ...shares({ images, right, confidence }), error: sum(gaps) / images };
};

/** Is the network too sure, too modest, or about as sure as it is right? */
const judged = ({ sure, right }) => {
  if (Math.abs(sure - right) < 0.005) return "as sure as it is right";
  return sure > right ? "too sure" : "too modest";
};

// ---------------------------------------------------------------------------------- drawing

const AXIS = 100; // pixels of the diagram, one for each per cent
const BELOW = { top: 118, height: 26 }; // where the images are counted

const percent = (share) => `${(100 * share).toFixed(1)} %`;

/** Bars of right guesses against the diagonal, with the gap to what a bin claims; below, how many. */
const diagram = (found) => {
  const width = AXIS / found.length;
  const most = Math.max(...found.map(({ images }) => images));
  const parts = found.flatMap(({ images, sure, right }, place) => {
    const x = place * width + 0.6;
    const box = (look, top, height) => svg("rect", {
      class: look, x, width: width - 1.2, y: top.toFixed(3), height: height.toFixed(3),
    });
    if (images === 0) return [];
    const [claimed, measured] = [AXIS * sure, AXIS * right];
    const many = (BELOW.height * images) / most;
    return [
      box("right", AXIS - measured, measured),
      box(claimed > measured ? "gap over" : "gap", AXIS - Math.max(claimed, measured), Math.abs(claimed - measured)),
      box("count", BELOW.top + BELOW.height - many, many),
    ];
  });
  const text = (x, y, words, anchor) => svg("text", { x, y, "text-anchor": anchor }, words);
  return svg("svg", { role: "img", viewBox: `-19 -5 130 ${BELOW.top + BELOW.height + 15}` },
    ...[0, 50, 100].flatMap((level) => [
      svg("line", { class: "grid", x1: 0, x2: AXIS, y1: AXIS - level, y2: AXIS - level }),
      text(-3, AXIS - level + 3, String(level), "end"),
      text(level, AXIS + 12, String(level), "middle"),
    ]),
    ...parts,
    svg("line", { class: "diagonal", x1: 0, x2: AXIS, y1: AXIS, y2: 0 }),
    text(50, BELOW.top + BELOW.height + 9, "confidence (%)", "middle"));
};

figure("temperature", `${PARTS}
.networks { display: grid; gap: 1rem 1.5rem; grid-template-columns: repeat(auto-fit, minmax(12.5rem, 1fr)); margin: 1rem 0; }
.networks section { max-width: 16rem; }
section svg { display: block; height: auto; width: 100%; }
svg text { fill: currentcolor; font-size: 8px; }
.grid { stroke: var(--line); stroke-width: 0.5; }
.right { fill: var(--accent); }
.gap { fill: var(--pst-color-background, var(--jp-layout-color0, Canvas)); fill-opacity: 0.65; stroke: var(--accent); stroke-width: 0.8; }
.gap.over { fill: var(--second); fill-opacity: 0.45; stroke: var(--second); }
.count { fill: currentcolor; fill-opacity: 0.45; }
.diagonal { stroke: currentcolor; stroke-dasharray: 3 2; stroke-width: 1; }
label { align-items: center; display: grid; gap: 0 0.5rem; grid-template-columns: max-content 1fr max-content; margin: 0.4rem 0; }
label input { height: 1.5rem; margin: 0; min-width: 0; width: 100%; }
label b { font-variant-numeric: tabular-nums; font-weight: 600; white-space: nowrap; }
dl { display: grid; gap: 0 1rem; grid-template-columns: 1fr max-content; margin: 0.4rem 0; }
dd { font-variant-numeric: tabular-nums; margin: 0; text-align: right; }
.judged { font-weight: 600; margin: 0.3rem 0 0; }
.judged::first-letter { text-transform: uppercase; }
.key { font-size: 0.875rem; }
.swatch { display: inline-block; height: 0.8em; vertical-align: -0.05em; width: 0.8em; }
.swatch.right { background: var(--accent); }
.swatch.gap { background: color-mix(in srgb, var(--accent) 35%, transparent); border: 1px solid var(--accent); }
.swatch.over { background: color-mix(in srgb, var(--second) 45%, transparent); border-color: var(--second); }
@media (forced-colors: active) { .swatch { forced-color-adjust: none; } }
@media print { svg, .swatch { print-color-adjust: exact; } }
`, (root, given) => {
  const { temperatures, networks } = given.sums;
  const { spoken, say } = voice();

  const panel = (name) => {
    const [least, most] = [temperatures[0], temperatures.at(-1)]; // of equal steps
    const input = element("input", {
      type: "range", "aria-label": `temperature of ${name}`, min: least, max: most,
      step: ((most - least) / (temperatures.length - 1)).toFixed(3),
    });
    const value = element("b", { "aria-hidden": "true" });
    const drawn = element("div");
    const numbers = element("dl");
    const verdict = element("p", { class: "judged" });

    const redraw = () => {
      const place = temperatures.findIndex((each) => Math.abs(each - input.valueAsNumber) < 1e-6);
      const row = networks[name][place];
      const { sure, right, error } = calibration(row);
      value.textContent = temperatures[place].toFixed(2);
      drawn.replaceChildren(diagram(bins(row)));
      const words = `${name} at temperature ${temperatures[place]}: ${percent(sure)} sure, ` +
        `${percent(right)} right, calibration error ${percent(error)}`;
      drawn.firstChild.setAttribute("aria-label", `Right guesses against confidence, in bins. ${words}.`);
      numbers.replaceChildren(...Object.entries({
        "sure, on average": percent(sure), "right": percent(right),
        "calibration error": percent(error), "cross-entropy": row.loss.toFixed(3),
      }).flatMap(([term, number]) => [element("dt", {}, term), element("dd", {}, number)]));
      verdict.textContent = `${judged({ sure, right })}.`;
      return words;
    };

    input.addEventListener("input", () => say(`${redraw()}: ${verdict.textContent}`));
    input.value = 1;
    redraw();
    return element("section", { "aria-label": name }, element("p", { class: "title" }, name),
      drawn, element("label", {}, "T", input, value), numbers, verdict);
  };

  const swatch = (look) => element("span", { class: `swatch ${look}` });
  root.append(
    element("p", { class: "key" }, "Of the guesses in each bin, in per cent: ", swatch("right"), " right; ",
      swatch("gap"), " right, but not claimed (too modest); ", swatch("gap over"), " claimed, but not right " +
      "(too sure). Below, in grey, how many guesses a bin has."),
    element("div", { class: "networks" }, ...Object.keys(networks).map(panel)), spoken);
});
