// What augmentation buys: how a network learns in 8 epochs or 40, and what it knows at their end.
// After convolution.js.

const PARAMETERS = {
  "epochs": { "start": "8", "among": ["8", "40"] }
};

/** An arm's four numbers, each the mean over its seeds. */
const means = ({ logs, training, heldOut }) => ({
  log: mean(logs.map((log) => log.at(-1))), training: mean(training), heldOut: mean(heldOut),
  gap: mean(training) - mean(heldOut),
});

/** 2.13 as "+2.1", -0.72 as "−0.7". */
const signed = (number) => `${number < 0 ? "−" : "+"}${Math.abs(number).toFixed(1)}`;

/** Which of `arms` are right more often than "none" on held-out images, and which less often. */
const verdict = (arms, epochs) => {
  const plain = arms.find(({ name }) => name === "none");
  const ranked = arms.filter((arm) => arm !== plain)
    .map((arm) => ({ name: arm.name, right: means(arm).heldOut }))
    .sort((one, other) => other.right - one.right);
  const begins = `After ${epochs} epochs, test:`;
  if (!plain) return `${begins} ${ranked.map(({ name, right }) => `${name} ${right.toFixed(1)}\u00a0%`).join(", ")}.`;
  const right = means(plain).heldOut;
  const parts = [["ahead", (each) => each.right > right], ["behind", (each) => each.right <= right]]
    .map(([side, belongs]) => [side, ranked.filter(belongs)])
    .filter(([, some]) => some.length)
    .map(([side, some]) => `${side}: ${some.map((each) => `${each.name} ${signed(each.right - right)}`).join(", ")}`);
  return `${[`${begins} none ${right.toFixed(1)}\u00a0%`, ...parts].join("; ")}.`;
};

/** `places` from the top down, moved apart so that each is `least` or more below the one before. */
const apart = (places, least) => {
  const order = places.map((_, n) => n).sort((one, other) => places[one] - places[other]);
  const moved = [...places];
  order.forEach((n, rank) => {
    if (rank) moved[n] = Math.max(moved[n], moved[order[rank - 1]] + least);
  });
  return moved;
};

// ---------------------------------------------------------------------------------- drawing

const WIDTH = 320; // pixels of either drawing, if it has room for as many
const LOG = { left: 30, right: 252, top: 8, bottom: 208, from: 40, to: 100 };
const END = { left: 72, right: 308, top: 12, row: 36, from: 83, to: 101 };
const SLIDE = 700; // milliseconds that a dot takes to its new place

const text = (x, y, words, anchor = "start", look = "") =>
  svg("text", { class: look, x, y, "text-anchor": anchor }, words);

/** Accuracy in the log, epoch by epoch: a dot for each seed, a line through their means. */
const learning = (arms, epochs) => {
  const x = (epoch) => LOG.left + (epoch - 1) / (epochs - 1) * (LOG.right - LOG.left);
  const y = (share) => LOG.bottom - (share - LOG.from) / (LOG.to - LOG.from) * (LOG.bottom - LOG.top);
  const curves = arms.map(({ logs }) => logs[0].map((_, epoch) => mean(logs.map((log) => log[epoch]))));
  const names = apart(curves.map((curve) => y(curve.at(-1)) + 4), 14);
  return svg("svg", {
    role: "img", viewBox: `0 0 ${WIDTH} 240`,
    "aria-label": `Accuracy in the log over ${epochs} epochs, a curve for each augmentation`,
  },
  ...[40, 60, 80, 100].flatMap((level) => [
    svg("line", { class: "grid", x1: LOG.left, x2: LOG.right, y1: y(level), y2: y(level) }),
    text(LOG.left - 5, y(level) + 4, String(level), "end"),
  ]),
  ...[1, epochs / 2, epochs].map((epoch) => text(x(epoch), LOG.bottom + 15, String(epoch), "middle")),
  text((LOG.left + LOG.right) / 2, LOG.bottom + 30, "epoch", "middle"),
  ...arms.map(({ name, logs }, n) => svg("g", { class: `arm ${name}` },
    svg("polyline", { points: curves[n].map((share, place) => `${x(place + 1).toFixed(2)},${y(share).toFixed(2)}`).join(" ") }),
    ...logs.flatMap((log) => log.map((share, place) =>
      svg("circle", { cx: x(place + 1).toFixed(2), cy: y(share).toFixed(2), r: 1.3 }))),
    text(LOG.right + 6, names[n], name))));
};

/** At the end: training and held out, a dot for each seed, and the gap as the step between. */
const atTheEnd = (arms, others, epochs) => {
  const x = (share) => END.left + (share - END.from) / (END.to - END.from) * (END.right - END.left);
  const bottom = END.top + END.row * arms.length;
  const levels = [85, 90, 95, 100];
  return svg("svg", {
    role: "img", viewBox: `0 0 ${WIDTH} ${bottom + 36}`,
    "aria-label": `Training and held-out accuracy after ${epochs} epochs, three seeds of each augmentation`,
  },
  ...levels.flatMap((level) => [
    svg("line", { class: "grid", x1: x(level), x2: x(level), y1: END.top - 8, y2: bottom }),
    text(x(level), bottom + 14, String(level), "middle"),
  ]),
  text((END.left + END.right) / 2, bottom + 30, "accuracy (%)", "middle"),
  ...arms.map((arm, row) => {
    const y = END.top + END.row * (row + 0.5);
    const { training, heldOut, gap } = means(arm);
    const before = others.find(({ name }) => name === arm.name);
    const ghost = before ? x(means(before).heldOut) : 0;
    return svg("g", { "data-arm": arm.name },
      text(0, y + 4, arm.name),
      ...(before ? [svg("line", { class: "ghost", x1: ghost, x2: ghost, y1: y - 9, y2: y + 9 })] : []),
      svg("line", { class: "gap", x1: x(heldOut), x2: x(training), y1: y, y2: y }),
      text(x((heldOut + training) / 2), y - 7, gap.toFixed(1), "middle", "step"),
      ...arm.training.map((share, seed) => svg("circle", {
        class: "training", "data-moves": `${arm.name} training ${seed}`, cx: x(share).toFixed(2), cy: y, r: 4,
      })),
      ...arm.heldOut.map((share, seed) => svg("rect", {
        class: "held-out", "data-moves": `${arm.name} held out ${seed}`,
        height: 7, width: 7, x: (x(share) - 3.5).toFixed(2), y: y - 3.5,
      })));
  }));
};

/** Where each dot is, from left to right, by what it stands for. */
const placed = (drawn) => Object.fromEntries([...drawn.querySelectorAll("[data-moves]")].map(
  (dot) => [dot.dataset.moves, +(dot.getAttribute("cx") ?? dot.getAttribute("x"))]));

/** Let each dot slide from where it was `before` to its new place. */
const slide = (drawn, before) => {
  if (matchMedia("(prefers-reduced-motion: reduce)").matches) return;
  const now = placed(drawn);
  for (const dot of drawn.querySelectorAll("[data-moves]")) {
    const far = before[dot.dataset.moves] - now[dot.dataset.moves];
    if (far) dot.animate([{ transform: `translateX(${far}px)` }, { transform: "none" }], { duration: SLIDE, easing: "ease-out" });
  }
};

figure("epochs-and-augmentations", `${PARTS}
:host { text-align: start; }
fieldset { border: 0; display: flex; flex-wrap: wrap; gap: 0 1rem; margin: 0.3rem 0; min-width: 0; padding: 0; }
legend { font-weight: 600; padding: 0; }
label { align-items: center; display: inline-flex; gap: 0.35rem; min-height: 2rem; }
label:has(:disabled) { opacity: 0.6; }
input { height: 1.1rem; margin: 0; width: 1.1rem; }
.drawings { display: grid; gap: 1rem; grid-template-columns: repeat(auto-fit, minmax(min(100%, 17rem), 1fr)); margin: 0.8rem 0; }
.drawings svg { display: block; height: auto; max-width: 26rem; width: 100%; }
svg text { fill: currentcolor; font-size: 13px; }
.grid { stroke: var(--line); }
.arm { --own: currentcolor; }
.arm.none, .arm.cutout { --own: var(--second); }
.arm.all, .arm.affine { --own: var(--accent); }
.arm polyline { fill: none; stroke: var(--own); stroke-width: 2; }
.arm:is(.affine, .cutout) polyline { stroke-dasharray: 6 3; }
.arm.cutout-8 polyline { stroke-dasharray: 2 3; }
.arm circle { fill: var(--own); }
.gap { stroke: currentcolor; stroke-width: 1.5; }
.ghost { stroke: var(--second); stroke-dasharray: 2 2; stroke-width: 1.5; }
.training { fill: var(--accent); fill-opacity: 0.75; }
.held-out { fill: var(--pst-color-background, var(--jp-layout-color0, Canvas)); stroke: var(--second); stroke-width: 1.5; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-size: 0.9375rem; }
th, td { border-bottom: 1px solid var(--line); padding: 0.15rem 0.6rem 0.15rem 0; text-align: right; }
th:first-child { font-weight: inherit; text-align: left; }
.key { font-size: 0.875rem; }
@media print { svg { print-color-adjust: exact; } }
`, (root, given) => {
  const all = given.arms.map((arm) => ({ ...arm, name: arm.augmentation, heldOut: arm.held_out }));
  const names = [...new Set(all.map(({ name }) => name))];
  const lengths = [...new Set(all.map(({ epochs }) => epochs))];
  const start = Number(given.epochs ?? PARAMETERS.epochs.start);
  const { said, spoken } = readAloud();
  const log = element("div");
  const end = element("div");
  const rows = element("tbody");

  const choice = (type, value, words, checked) => {
    const made = element("input", { type, value, name: type });
    made.checked = checked;
    made.addEventListener("change", () => redraw());
    return { made, label: element("label", {}, made, words) };
  };
  const runs = lengths.map((epochs) => choice("radio", epochs, String(epochs), epochs === start));
  const kinds = names.map((name) => choice("checkbox", name, name, ["none", "flip", "all"].includes(name)));

  const shown = () => {
    const epochs = Number(runs.find(({ made }) => made.checked).made.value);
    const chosen = kinds.filter(({ made }) => made.checked).map(({ made }) => made.value);
    const of = (some) => all.filter((arm) => some(arm.epochs) && chosen.includes(arm.name));
    return { epochs, arms: of((each) => each === epochs), others: of((each) => each !== epochs) };
  };
  const redraw = () => {
    const { arms, others, epochs } = shown();
    for (const { made } of kinds) {
      made.disabled = !all.some((arm) => arm.epochs === epochs && arm.name === made.value);
    }
    said.textContent = arms.length ? verdict(arms, epochs) : "Choose an augmentation.";
    const before = placed(end);
    log.replaceChildren(element("p", { class: "title" }, "In the log (%)"), learning(arms, epochs));
    end.replaceChildren(element("p", { class: "title" }, "At the end, images as they are"), atTheEnd(arms, others, epochs));
    slide(end, before);
    rows.replaceChildren(...arms.map((arm) => {
      const { log: last, training, heldOut, gap } = means(arm);
      return element("tr", {}, element("th", { scope: "row" }, arm.name),
        ...[last, training, heldOut, gap].map((each) => element("td", {}, each.toFixed(1))));
    }));
  };

  root.append(
    element("fieldset", {}, element("legend", {}, "Epochs"), ...runs.map(({ label }) => label)),
    element("fieldset", {}, element("legend", {}, "Augmentations"), ...kinds.map(({ label }) => label)),
    said, spoken, element("div", { class: "drawings" }, log, end),
    element("p", { class: "key" }, "Dots: three seeds. At the end: ● training, □ test, between them the gap; " +
      "the dashed mark is the test after the other number of epochs. Some were trained for 8 epochs only."),
    element("div", { class: "scroll", role: "region", tabindex: 0, "aria-label": "Means of three seeds" }, element("table", {},
      element("thead", {}, element("tr", {}, ...["mean (%)", "in the log", "training", "test", "gap"].map(
        (head) => element("th", { scope: "col" }, head)))), rows)));
  redraw();
});
