// What is left of trained kernels, and of their network, when they are cut to a rank.
// After convolution.js.

const PARAMETERS = {
  "rank": { "start": 1, "least": 1, "most": 9 }
};

const DENSE = 9; // taps of a kernel, and the rank at which nothing is cut
const CHANNELS = 64; // in and out, for the share of the weights

/** Share of the dense layer's weights that `rank` filters for each map and their 1x1 mix take. */
const weights = (rank) => rank * (DENSE * CHANNELS + CHANNELS ** 2) / (DENSE * CHANNELS ** 2);

// ---------------------------------------------------------------------------------- drawing

/** Kernels in a row, each tap as strong as its number: `most` is the strongest. */
const row = (kernels, most, name) => {
  const side = 3.6; // a kernel and the gap behind it
  const squares = kernels.flatMap((kernel, place) => kernel.map((value, tap) => svg("rect", {
    class: value < 0 ? "below" : "above", "fill-opacity": Math.min(Math.abs(value) / most, 1).toFixed(3),
    height: 0.94, width: 0.94, x: place * side + tap % 3, y: Math.floor(tap / 3),
  })));
  const frames = kernels.map((_, place) => svg("rect", {
    class: "frame", height: 3, width: 3, x: place * side - 0.03, y: -0.03,
  }));
  const drawn = svg("svg", {
    "aria-label": name, role: "img", viewBox: `-0.1 -0.1 ${kernels.length * side - 0.4} 3.2`,
  }, ...squares, ...frames);
  return element("div", { class: "kernels" }, element("p", { class: "title" }, name), drawn);
};

figure("rank-slider", `${PARTS}
.kernels svg { display: block; max-width: 30rem; width: 100%; }
.above { fill: var(--accent); }
.below { fill: var(--second); }
.frame { fill: none; stroke: var(--line); stroke-width: 0.06; }
dl { display: grid; gap: 0.2rem 1rem; grid-template-columns: max-content 1fr; margin: 1rem 0; }
dd { margin: 0; }
dd strong { font-variant-numeric: tabular-nums; }
.bar { max-width: 22rem; }
@media (max-width: 30rem) { dl { grid-template-columns: 1fr; } }
@media print { .bar, .kernels { print-color-adjust: exact; } }
`, (root, given) => {
  const { ranks } = given;
  const trained = ranks.kernels[DENSE - 1];
  const most = Math.max(...trained.flat().map(Math.abs));
  const cut = element("div");
  const numbers = element("dl");
  const { said, spoken } = readAloud();
  const line = (name, share, words) => [
    element("dt", {}, name),
    element("dd", {}, element("strong", {}, words),
      element("div", { class: "bar" }, element("div", { style: `width: ${Math.min(100 * share, 100)}%` }))),
  ];
  const redraw = () => {
    const { rank } = values;
    const [squares, right] = [ranks.squares[rank - 1], ranks.accuracy[rank - 1]];
    cut.replaceChildren(row(ranks.kernels[rank - 1], most, `Cut to rank ${rank}`));
    numbers.replaceChildren(
      ...line("Weights, with 64 channels", weights(rank), `${Math.round(100 * weights(rank))} % of the dense layer’s`),
      ...line("Squares kept", squares, `${(100 * squares).toFixed(1)} %`),
      ...line("Still right", right / 100, `${right.toFixed(1)} % of ${written(ranks.count)} pictures`));
    said.textContent = rank === 1
      ? "Rank 1: every kernel is the same pattern, times a number of its own."
      : rank === DENSE ? "Rank 9: nine taps make any kernel, so nothing is cut."
        : `Rank ${rank}: every kernel is a mix of ${rank} patterns that all of them share.`;
  };
  const { panel, values } = sliders(PARAMETERS, given, redraw);
  root.append(panel, row(trained, most, "As trained"), cut, said, spoken, numbers);
  redraw();
});
