// The learning curves of any two runs, and what their recipes and machines have in common.
// After convolution.js.

const PARAMETERS = {
  "runs": {},
  "first": { "start": "accurate-seed0", "among": "runs" },
  "second": { "start": "baseline-seed0", "among": "runs" },
  "measure": {
    "start": "train_accuracy",
    "among": [
      "held_out_accuracy", "train_accuracy", "held_out_loss", "train_loss", "learning_rate"
    ]
  }
};

/** The epochs of a run that have a value of `measure`, with it: [[epoch, value], ...]. */
const curve = ({ history }, measure) => history.epochs
  .map((epoch, place) => [epoch, history[measure]?.[place] ?? null])
  .filter(([, value]) => value !== null);

/** Round numbers from at or below `least` to at or above `most`, at most `count` + 2 of them. */
const ticks = (least, most, count = 5) => {
  const rough = (most - least || Math.abs(most) || 1) / count;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((each) => each * power).find((each) => each >= rough * 0.999);
  const first = Math.floor(least / step + 1e-9);
  const last = Math.max(Math.ceil(most / step - 1e-9), first + 1);
  // Divided where the step is a fraction, for 3 * 0.1 is not 0.3.
  return Array.from({ length: last - first + 1 }, (_, place) =>
    step < 1 ? (first + place) / Math.round(1 / step) : (first + place) * step);
};

/** Each line of two settings: its name, both values, and whether they differ; null: not known. */
const compare = (first, second) => [...new Set([...Object.keys(first), ...Object.keys(second)])]
  .map((name) => {
    const values = [first[name], second[name]];
    const known = values.every((value) => value !== undefined);
    return { name, values, differs: known ? JSON.stringify(values[0]) !== JSON.stringify(values[1]) : null };
  });

// ---------------------------------------------------------------------------------- drawing

const MEASURES = {
  held_out_accuracy: { name: "Held-out accuracy", unit: "%", decimals: 2 },
  train_accuracy: { name: "Training accuracy", unit: "%", decimals: 2 },
  held_out_loss: { name: "Held-out loss", unit: "nats per image", decimals: 3 },
  train_loss: { name: "Training loss", unit: "nats per image", decimals: 3 },
  learning_rate: { name: "Learning rate at the epoch’s end", unit: "" },
};
const HEIGHT = 300; // pixels of the drawing
const EDGE = { top: 34, right: 12, bottom: 44, left: 46 }; // pixels around its curves

const LETTER = 9.2; // pixels of width, about
const CLASSES = ["first", "second"];

/** Where a name may stand near the end (x, y) of its curve, so that it covers few dots of any. */
const besideEnd = ([x, y], length, dots, width) => {
  const left = Math.min(x + 8, width - length);
  const spots = [-12, 24, -32, 44, -52, 64].map((down) => {
    const base = y + down;
    const covers = Array.from({ length: 5 }, (_, part) => [left + (part * length) / 4, base - 5]);
    const inside = ([cx, cy]) => cx > left - 6 && cx < left + length + 6 && cy > base - 19 && cy < base + 9;
    const outside = base < EDGE.top || base > HEIGHT - EDGE.bottom;
    return { left, base, covers, cost: dots.filter(inside).length + (outside ? 100 : 0) };
  });
  return spots.reduce((best, spot) => (spot.cost < best.cost ? spot : best));
};

/** A setting as text. */
const worded = (value) => {
  if (value === undefined) return "not recorded";
  if (value === null) return "none";
  if (Array.isArray(value)) return value.join(", ");
  if (typeof value === "boolean") return value ? "yes" : "no";
  if (typeof value === "object") {
    return Object.entries(value).map(([name, each]) => `${name} ${worded(each)}`).join(", ") || "none";
  }
  return typeof value === "number" && Number.isInteger(value) ? written(value) : String(value);
};

figure("run-browser", `${PARTS}
[hidden] { display: none !important; }
.choices { display: grid; gap: 0.6rem 1rem; grid-template-columns: repeat(auto-fill, minmax(min(100%, 13rem), 1fr)); }
.choices select { display: block; width: 100%; }
.chart { margin: 1rem 0 0; }
.chart svg { cursor: crosshair; display: block; touch-action: pan-y; }
/* As wide as the axis above it. */
.sliders { display: block; margin: 0 ${EDGE.right}px 0 ${EDGE.left}px; }
.sliders label { grid-template-columns: auto 1fr; }
.sliders span { grid-column: 1; }
.sliders b { grid-area: 1 / 2; }
.sliders input { grid-column: 1 / 3; }
@media print { .chart svg { height: auto; max-width: 100%; } }
.grid { stroke: var(--line); stroke-width: 1; }
.curve { fill: none; stroke-width: 2.5; }
.first { --own: var(--accent); }
.second { --own: var(--second); }
.curve { stroke: var(--own); }
.second .curve { stroke-dasharray: 6 4; }
.chart circle { fill: var(--own); }
.second circle { fill: var(--pst-color-background, var(--jp-layout-color0, Canvas)); stroke: var(--own); stroke-width: 1.5; }
.cursor { stroke: currentcolor; stroke-dasharray: 2 3; }
.chart text { fill: currentcolor; font-size: 14px; }
.name {
  font-weight: 600; paint-order: stroke; stroke-linejoin: round; stroke-width: 5px;
  stroke: var(--pst-color-background, var(--jp-layout-color0, Canvas));
}
.chart .name { fill: var(--own); }
summary { cursor: pointer; padding: 0.3rem 0; }
.scroll { border: 1px solid var(--line); max-height: 24rem; overflow: auto; }
table { border-collapse: collapse; font-size: 0.9375rem; width: 100%; }
caption { font-weight: 600; padding: 0.3rem; text-align: left; }
.title { padding: 0.3rem; }
th, td { border-bottom: 1px solid var(--line); padding: 0.2rem 0.4rem; text-align: left; vertical-align: top; }
td { overflow-wrap: anywhere; }
th { overflow-wrap: normal; }
tbody th { font-weight: inherit; }
.differs td, .differs th { background: var(--faint); font-weight: 600; }
`, (root, given) => {
  const { runs } = given;
  const named = (name) => runs.find((run) => run.name === name);

  /** A choice among the runs, those of one recipe together. */
  const choice = (label, options) => {
    const made = element("select", {}, ...options);
    return { made, label: element("label", {}, label, made) };
  };
  const groups = () => [...new Set(runs.map(({ group }) => group))].map((name) =>
    element("optgroup", { label: name }, ...runs.filter(({ group }) => group === name).map(
      (run) => element("option", { value: run.name }, run.name))));
  const first = choice("First run", groups());
  const second = choice("Second run", [element("option", { value: "" }, "none"), ...groups()]);
  const measure = choice("Measure", Object.entries(MEASURES).map(
    ([value, { name }]) => element("option", { value }, name)));

  const chart = element("div", { class: "chart" });
  const cursor = sliders({ epoch: { start: 1, least: 1, most: 1 } }, {}, () => redraw());
  const { said, spoken } = readAloud();
  const zoom = element("input", { type: "checkbox" });
  const all = element("input", { type: "checkbox" });
  const settings = element("div");
  const values = element("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": "Values by epoch" });
  root.append(
    element("div", { class: "choices" }, first.label, second.label, measure.label),
    chart, cursor.panel,
    element("p", {}, element("label", {}, zoom, " Only the second half of the epochs, enlarged")), said, spoken,
    element("details", { class: "numbers" }, element("summary", {}, "The curves as a table"), values),
    element("p", {}, element("label", {}, all, " Show all settings, not only those that differ")),
    settings);

  const chosen = () => [named(first.made.value), named(second.made.value)].filter(Boolean);
  const format = (value) => {
    const { decimals } = MEASURES[measure.made.value];
    return (decimals ? value.toFixed(decimals) : String(+value.toPrecision(3))).replace("-", "−");
  };
  const unit = () => MEASURES[measure.made.value].unit;
  const title = () => MEASURES[measure.made.value].name + (unit() && ` (${unit()})`);
  const held = () => measure.made.value.startsWith("held_out");
  /** Whose images: held-out scores of two runs compare only if these are the same. */
  const label = (run) => run.name + (held() ? `, ${run.setting["scored on"]} images` : "");

  /** The last epoch of the runs, planned or run. */
  const lastEpoch = () => Math.max(...chosen().map(
    ({ recipe, history }) => Math.max(recipe.epochs ?? 1, ...history.epochs)));
  /** The first epoch that is shown. */
  const firstEpoch = () => (zoom.checked ? Math.ceil((lastEpoch() + 1) / 2) : 1);

  const draw = (curves) => {
    const width = Math.max(chart.clientWidth, 240);
    const end = lastEpoch();
    const begin = firstEpoch();
    curves = curves.map((points) => points.filter(([epoch]) => epoch >= begin));
    const points = curves.flat();
    if (points.length === 0) {
      chart.replaceChildren();
      return;
    }
    const heights = points.map(([, value]) => value);
    const levels = ticks(Math.min(...heights), Math.max(...heights));
    const [low, high] = [levels[0], levels.at(-1)];
    const x = (epoch) => EDGE.left + (width - EDGE.left - EDGE.right) * (epoch - begin) / Math.max(end - begin, 1);
    const y = (value) => HEIGHT - EDGE.bottom -
      (HEIGHT - EDGE.top - EDGE.bottom) * (value - low) / (high - low);
    const text = (attributes, words) => svg("text", attributes, words);
    const digits = Math.max(...levels.map((level) => String(+level.toPrecision(6)).split(".")[1]?.length ?? 0));
    const epochs = ticks(begin, end, width < 480 ? 4 : 8).filter(
      (epoch) => Number.isInteger(epoch) && epoch <= end).map((epoch) => Math.max(epoch, begin));
    const places = curves.map((points) => points.map(([epoch, value]) => [x(epoch), y(value)]));
    const occupied = places.flat();
    const drawn = places.map((dots, which) => svg("g", { class: CLASSES[which] },
      svg("polyline", { class: "curve", points: dots.join(" ") }),
      ...dots.map(([cx, cy]) => svg("circle", { cx, cy, r: 3 }))));
    const names = places.map((dots, which) => {
      const { name } = chosen()[which];
      if (dots.length === 0) return "";
      const spot = besideEnd(dots.at(-1), name.length * LETTER, occupied, width);
      occupied.push(...spot.covers);
      return svg("g", { class: CLASSES[which] }, text({ class: "name", x: spot.left, y: spot.base }, name));
    });
    const summary = curves.map((points, place) => {
      const { name } = chosen()[place];
      if (points.length === 0) return `${name} has none.`;
      const [from, to] = [points[0], points.at(-1)];
      return `${name}: ${format(from[1])} at epoch ${from[0]}, ${format(to[1])} at epoch ${to[0]}.`;
    });
    const place = cursor.values.epoch;
    chart.replaceChildren(svg("svg", {
      role: "img", width, height: HEIGHT, viewBox: `0 0 ${width} ${HEIGHT}`,
      "aria-label": `${title()} by epoch. ${summary.join(" ")}`,
    },
    text({ x: 0, y: 16 }, title()),
    ...levels.flatMap((level) => [
      svg("line", { class: "grid", x1: EDGE.left, x2: width - EDGE.right, y1: y(level), y2: y(level) }),
      text({ x: EDGE.left - 6, y: y(level) + 5, "text-anchor": "end" }, level.toFixed(digits).replace("-", "−")),
    ]),
    ...[...new Set(epochs)].map((epoch) =>
      text({ x: x(epoch), y: HEIGHT - EDGE.bottom + 18, "text-anchor": "middle" }, epoch)),
    text({ x: width - EDGE.right, y: HEIGHT - 4, "text-anchor": "end" }, "epoch"),
    ...drawn,
    ...(place < begin ? [] : [svg("line", {
      class: "cursor", x1: x(place), x2: x(place), y1: EDGE.top, y2: HEIGHT - EDGE.bottom,
    })]),
    ...names));
    /** The epoch under a pointer, which may press or, with a button held, move. */
    chart.onpointerdown = chart.onpointermove = ({ buttons, clientX }) => {
      if (buttons !== 1) return;
      const share = (clientX - chart.getBoundingClientRect().left - EDGE.left) / (width - EDGE.left - EDGE.right);
      cursor.set("epoch", Math.round(begin + share * (end - begin)));
      redraw();
    };
  };

  /** What the curves say at the epoch under the line. */
  const say = (curves) => {
    const epoch = cursor.values.epoch;
    const found = curves.map((points) => points.find(([each]) => each === epoch)?.[1]);
    const parts = chosen().map((run, place) => {
      const none = curves[place].length === 0 ? "not recorded"
        : epoch > Math.max(...run.history.epochs) ? "ended before" : "no value";
      return `${label(run)}: ${found[place] === undefined ? none : format(found[place]) + (unit() && ` ${unit()}`)}`;
    });
    const difference = found.length === 2 && found.every((value) => value !== undefined)
      ? ` Difference: ${format(found[0] - found[1])}${unit() === "%" ? " points" : ""}.` : "";
    const scored = new Set(chosen().map((run) => run.setting["scored on"]));
    const warning = held() && scored.size > 1
      ? " These two were scored on different images, and are not to be compared." : "";
    said.textContent = `${MEASURES[measure.made.value].name}, epoch ${epoch} of ${lastEpoch()}. ` +
      `${parts.join("; ")}.${warning ? "" : difference}${warning}`;
  };

  const head = (name) => element("thead", {}, element("tr", {},
    ...[name, ...chosen().map((run) => run.name)].map((each) => element("th", { scope: "col" }, each))));

  const tabulate = (curves) => {
    const epochs = [...new Set(curves.flatMap((points) => points.map(([epoch]) => epoch)))].sort((a, b) => a - b);
    values.replaceChildren(element("table", {}, element("caption", {}, title()), head("epoch"),
      element("tbody", {}, ...epochs.map((epoch) => element("tr", {},
        element("th", { scope: "row" }, String(epoch)),
        ...curves.map((points) => {
          const value = points.find(([each]) => each === epoch)?.[1];
          return element("td", {}, value === undefined ? "–" : format(value));
        }))))));
  };

  /** The settings side by side, differences marked. */
  const list = () => {
    const [one, other] = chosen();
    const sections = { recipe: "Recipe", setting: "Seed, code, machine" };
    settings.replaceChildren(...Object.entries(sections).map(([part, name]) => {
      const lines = compare(one[part], (other ?? one)[part]);
      const shown = lines.filter(({ differs }) => all.checked || !other || differs);
      const unknown = lines.filter(({ differs }) => differs === null).length;
      const caption = other
        ? `${name}: ${lines.filter(({ differs }) => differs).length} of ${lines.length} differ` +
          (unknown ? `, ${unknown} are recorded of one run only` : "")
        : name;
      if (shown.length === 0) return element("p", { class: "title" }, caption);
      return element("table", {}, element("caption", {}, caption), head("setting"),
        element("tbody", {}, ...shown.map(({ name: setting, values: both, differs }) =>
          element("tr", differs && other ? { class: "differs" } : {},
            element("th", { scope: "row" }, setting.replaceAll("_", " ")),
            ...both.slice(0, other ? 2 : 1).map((value) => element("td", {}, worded(value)))))));
    }));
  };

  const curves = () => chosen().map((run) => curve(run, measure.made.value));
  const redraw = () => {
    const found = curves();
    draw(found);
    say(found);
    tabulate(found);
  };
  /** Other epochs are shown: the slider is as long as the axis. */
  const span = () => {
    cursor.set("epoch", cursor.values.epoch, lastEpoch(), firstEpoch());
    redraw();
  };
  /** Other runs: another last epoch, other settings. */
  const choose = () => {
    list();
    span();
  };
  for (const each of [first, second]) each.made.addEventListener("change", choose);
  measure.made.addEventListener("change", redraw);
  zoom.addEventListener("change", span);
  all.addEventListener("change", list);
  first.made.value = given.first ?? (named(PARAMETERS.first.start) ?? runs[0]).name;
  second.made.value = given.second ?? named(PARAMETERS.second.start)?.name ?? "";
  measure.made.value = given.measure ?? PARAMETERS.measure.start;
  cursor.set("epoch", Math.max(...chosen()[0].history.epochs, 1), lastEpoch());
  choose();
  new ResizeObserver(() => draw(curves())).observe(chart);
});
