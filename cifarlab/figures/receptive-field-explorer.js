// A stack of layers, edited: what every unit sees of the picture, on how many paths, with what holes.
// After convolution.js.

const PARAMETERS = {
  "size": { "start": 32, "least": 8, "most": 64 },
  "preset": { "start": "skipnet", "among": ["skipnet", "vgg16", "dilations-222", "dilations-123"] },
  "layers": {},
  "picture": {},
  "source": {}
};

/** A layer that keeps the size, unless it is told otherwise. */
const convolution = (kernel, { stride = 1, dilation = 1 } = {}) =>
  ({ kind: "convolution", kernel, stride, dilation, padding: (dilation * (kernel - 1)) / 2 });
const pooling = (kernel) => ({ kind: "pooling", kernel, stride: kernel, dilation: 1, padding: 0 });
/** The sum of the map before it and of the one that came into the last `around` layers. */
const skip = (around) => ({ kind: "skip", around });

const times = (count, ...layers) => Array.from({ length: count }, () => layers).flat();

const PRESETS = {
  "skipnet": {
    name: "The course’s network, padded with zeros",
    layers: [convolution(3), ...times(4,
      convolution(3), convolution(3), convolution(1), convolution(3, { dilation: 2 }), skip(4))],
  },
  "vgg16": {
    name: "VGG-16",
    layers: [2, 2, 3, 3, 3].flatMap((count) => [...times(count, convolution(3)), pooling(2)]),
  },
  "dilations-222": {
    name: "Dilations 2, 2, 2",
    layers: times(3, convolution(3, { dilation: 2 })),
  },
  "dilations-123": {
    name: "Dilations 1, 2, 3",
    layers: [1, 2, 3].map((dilation) => convolution(3, { dilation })),
  },
};

/**
 * The maps behind the picture and each layer: units per axis; of their fields, as if all maps went
 * on for ever, size and jump and the start of unit 0. A map that cannot be made is a message, the
 * last of the list.
 */
const follow = (layers, pixels) => {
  const maps = [{ units: pixels, size: 1, jump: 1, start: 0 }];
  for (const layer of layers) {
    const { units, size, jump, start } = maps.at(-1);
    if (layer.kind === "skip") {
      const other = maps[maps.length - 1 - layer.around];
      if (!other) return [...maps, `A skip around ${layer.around} needs as many layers before it.`];
      if (other.units !== units || other.jump !== jump) {
        return [...maps, `A skip adds equal maps; these have ${other.units} and ${units} units ` +
          `per axis, ${other.jump} and ${jump} pixels apart.`];
      }
      const end = Math.max(start + size, other.start + other.size);
      const first = Math.min(start, other.start);
      maps.push({ units, size: end - first, jump, start: first });
    } else {
      const message = fault(units, layer, layer.kind === "pooling" ? Math.floor(layer.kernel / 2) : FIELDS.padding.most);
      if (message) return [...maps, message];
      maps.push({
        units: outputSize(units, layer),
        size: size + (layer.kernel - 1) * layer.dilation * jump,
        jump: jump * layer.stride,
        start: start - layer.padding * jump,
      });
    }
  }
  return maps;
};

/** In how many ways unit (y, x) of the last map reaches each pixel, as rows; paddings count for none. */
const pathCounts = (layers, pixels, [y, x]) => {
  const maps = follow(layers, pixels);
  const ways = maps.map(({ units }) => Array.from({ length: units }, () => Array(units).fill(0)));
  ways.at(-1)[y][x] = 1;
  for (let number = layers.length; number > 0; number -= 1) {
    const layer = layers[number - 1];
    for (const [row, counts] of ways[number].entries()) {
      for (const [column, count] of counts.entries()) {
        if (count === 0) continue;
        if (layer.kind === "skip") {
          ways[number - 1][row][column] += count;
          ways[number - 1 - layer.around][row][column] += count;
          continue;
        }
        const units = maps[number - 1].units;
        const [rows, columns] = [row, column].map((output) =>
          taps(output, layer).filter((tap) => tap >= 0 && tap < units));
        for (const i of rows) for (const j of columns) ways[number - 1][i][j] += count;
      }
    }
  }
  return ways[0];
};

/** What is seen: pixels; those of the smallest box around them; fewest and most paths to one. */
const summary = (counts) => {
  const seen = counts.flatMap((row, y) => row.flatMap((count, x) => (count ? [[y, x, count]] : [])));
  if (seen.length === 0) return { pixels: 0, box: 0, fewest: 0, most: 0 };
  const sides = [0, 1].map((axis) => {
    const places = seen.map((each) => each[axis]);
    return Math.max(...places) - Math.min(...places) + 1;
  });
  const ways = seen.map(([, , count]) => count);
  return {
    pixels: seen.length,
    box: sides[0] * sides[1],
    fewest: Math.min(...ways),
    most: Math.max(...ways),
  };
};

/** The unit of a map whose field has its centre nearest to a pixel, along one axis. */
const nearestUnit = (pixel, { units, size, jump, start }) =>
  Math.min(Math.max(Math.round((pixel - start - (size - 1) / 2) / jump), 0), units - 1);

// ---------------------------------------------------------------------------------- drawing

const FIELDS = {
  kernel: { least: 1, most: 11 },
  stride: { least: 1, most: 4 },
  dilation: { least: 1, most: 16 },
  padding: { least: 0, most: 32 },
};
const MARGIN = 6; // pixels of padding that are shown around the picture, at most

/** A count that may be too large to be exact. */
const rounded = (count) => Number.isSafeInteger(count)
  ? written(count) : `about ${count.toExponential(1).replace(/e\+(.*)/, (_, power) =>
    ` · 10${Array.from(power, (digit) => "⁰¹²³⁴⁵⁶⁷⁸⁹"[digit]).join("")}`)}`;

/** Scroll the box around a table's line, and nothing else, so far that the line is seen. */
const keepInSight = (line) => {
  const box = line.closest(".scroll");
  const head = box.querySelector("thead").offsetHeight; // which stays, above the others
  const [top, bottom] = [line.offsetTop - head, line.offsetTop + line.offsetHeight];
  if (top < box.scrollTop) box.scrollTop = top;
  if (bottom > box.scrollTop + box.clientHeight) box.scrollTop = bottom - box.clientHeight;
};

figure("receptive-field-explorer", `${PARTS}
.picture { flex: 0 1 21rem; min-width: 0; width: 100%; }
.picture svg { cursor: crosshair; display: block; height: auto; width: 100%; }
.picture figcaption { font-size: 0.875rem; }
figure { margin: 0; }
.row select { max-width: 100%; }
.side { flex: 1 1 15rem; min-width: 0; }
.pixel { fill: var(--accent); }
@media (forced-colors: active) { .pixel { fill: Highlight; } }
.frame { fill: none; stroke: var(--line); stroke-dasharray: 0.6 0.4; stroke-width: 0.12; }
.box { fill: none; stroke: var(--second); stroke-width: 0.5; }
.under { fill: none; stroke: var(--pst-color-background, var(--jp-layout-color0, Canvas)); stroke-width: 1; }
.scroll { border: 1px solid var(--line); max-height: 22rem; overflow: auto; scroll-padding-top: 2.5rem; }
table { border-collapse: collapse; width: 100%; }
th, td { border-bottom: 1px solid var(--line); padding: 0.2rem; text-align: right; }
th, td select { font-size: 0.875rem; }
th:first-child, td:first-child { text-align: left; white-space: nowrap; }
thead :is(th, td) { background: var(--pst-color-background, var(--jp-layout-color0, Canvas)); box-shadow: inset 0 -1px var(--line); position: sticky; top: 0; z-index: 1; }
tr.picked td { background: var(--faint); }
td input[type="number"] {
  background: none; border: 1px solid var(--line); border-radius: 0.2rem; height: 1.8rem; width: 2.9rem;
}
td select { min-height: 1.8rem; padding: 0.1rem; }
td button { min-height: 1.8rem; padding: 0 0.4rem; }
input[type="radio"] { height: 1.15rem; margin: 0.2rem; vertical-align: middle; width: 1.15rem; }
`, (root, given) => {
  const { picture } = given;
  const presets = given.layers
    ? { own: { name: "Your network", layers: given.layers }, ...PRESETS } : PRESETS;
  // What is shown is the chosen layer, or the last that can be made, until the fault is mended.
  const state = { layers: [], chosen: 0, shown: 0, message: "" };

  const choose = element("select", { "aria-label": "Layers" }, ...Object.entries(presets).map(
    ([value, { name }]) => element("option", { value }, name)));
  const kindOfView = element("select", { "aria-label": "Show" },
    element("option", { value: "pixels" }, "Pixels it sees"),
    element("option", { value: "paths" }, "Paths to each pixel"));
  const size = sliders(picture ? {} : { size: PARAMETERS.size }, given, () => redraw());
  const unit = sliders({
    row: { start: 0, least: 0, most: 0 }, column: { start: 0, least: 0, most: 0 },
  }, {}, () => look());
  const drawn = svg("svg", { role: "img" });
  const caption = element("figcaption", {}, given.source ?? "");
  const { said, spoken } = readAloud();
  const rows = element("tbody");
  const add = element("button", { type: "button" }, "Add a layer");
  const names = ["layer", "kind", ...Object.keys(FIELDS), "units", "size", "jump", "start", ""];
  root.append(
    element("div", { class: "row" }, choose, kindOfView),
    element("div", { class: "row" },
      element("figure", { class: "picture" }, drawn, caption),
      element("div", { class: "side" }, size.panel, unit.panel, said, spoken)),
    element("div", { class: "scroll" }, element("table", {},
      element("thead", {}, element("tr", {}, ...names.map((name) => element(name ? "th" : "td", {}, name)))), rows)),
    element("div", { class: "row" }, add));

  const pixels = () => picture?.length ?? size.values.size;

  /** The field of the unit that the sliders point at. */
  const look = () => {
    const layers = state.layers.slice(0, state.shown);
    const map = follow(layers, pixels()).at(-1);
    const place = [unit.values.row, unit.values.column];
    const counts = pathCounts(layers, pixels(), place);
    const found = summary(counts);
    const paths = kindOfView.value === "paths";
    for (const [y, line] of counts.entries()) {
      for (const [x, count] of line.entries()) {
        const strength = paths ? count / (found.most || 1) : Number(count > 0);
        const opacity = picture ? 0.2 + 0.8 * strength : count && 0.15 + 0.85 * strength;
        state.pixels[y][x].setAttribute("fill-opacity", opacity);
      }
    }
    const [top, left] = place.map((index) => map.start + map.jump * index);
    for (const box of drawn.querySelectorAll(".box, .under")) {
      const around = { x: left - 0.25, y: top - 0.25, width: map.size + 0.5, height: map.size + 0.5 };
      for (const [name, value] of Object.entries(around)) box.setAttribute(name, value);
    }
    const [rowsSeen, columnsSeen] = [top, left].map(
      (first) => `${written(first)} to ${written(first + map.size - 1)}`);
    const outside = top < 0 || left < 0 || Math.max(top, left) + map.size > pixels();
    const share = found.box ? Math.round((100 * found.pixels) / found.box) : 0;
    const of = state.shown ? `layer ${state.shown}` : "the picture"; // where no layer can be made
    said.textContent =
      `Unit (${place.join(", ")}) of ${of} looks at rows ${rowsSeen} and columns ` +
      `${columnsSeen}${outside ? "; what lies outside the picture is padding" : ""}. ` +
      `It sees ${written(found.pixels)} of the ${written(found.box)} pixels of its box in the ` +
      `picture: ${share} %. Paths to a pixel it sees: ${rounded(found.fewest)} to ` +
      `${rounded(found.most)}.${state.message}`;
    drawn.setAttribute("aria-label",
      `${paths ? "Paths to each pixel" : "Pixels seen"}, ${pixels()} by ${pixels()}. ${said.textContent}`);
  };

  /** A new canvas: one square for each pixel, the frame of the picture, the box. */
  const paper = (map) => {
    const count = pixels();
    const margin = Math.min(Math.max(-map.start, 1), MARGIN);
    drawn.setAttribute("viewBox", [-margin, -margin, count + 2 * margin, count + 2 * margin].join(" "));
    const gap = picture ? 0 : 0.08;
    state.pixels = Array.from({ length: count }, (_, y) => Array.from({ length: count }, (_, x) => {
      const pixel = svg("rect", { x, y, width: 1 - gap, height: 1 - gap, class: "pixel" });
      // Three hexadecimal digits a pixel: red, green and blue.
      if (picture) pixel.style.fill = `#${picture[y].slice(3 * x, 3 * x + 3)}`;
      return pixel;
    }));
    const frame = svg("rect", { x: 0, y: 0, width: count, height: count, class: "frame" });
    drawn.replaceChildren(...state.pixels.flat(), frame,
      svg("rect", { class: "under" }), svg("rect", { class: "box" }));
  };

  /** One number of a layer, to be edited in the table. */
  const field = (layer, number, name, { least, most }) => {
    const input = element("input", {
      type: "number", min: least, max: most, value: layer[name], "aria-label": `${name} of layer ${number}`,
    });
    input.addEventListener("change", () => {
      layer[name] = Math.min(Math.max(Math.round(input.valueAsNumber) || least, least), most);
      input.value = layer[name];
      redraw();
    });
    return input;
  };

  const row = (layer, number) => {
    const kind = element("select", { "aria-label": `kind of layer ${number}` },
      ...["convolution", "pooling", "skip"].map((each) => element("option", {}, each)));
    kind.value = layer.kind;
    kind.addEventListener("change", () => {
      const made = { convolution: () => convolution(3), pooling: () => pooling(2), skip: () => skip(1) };
      state.layers[number - 1] = made[kind.value]();
      edit();
      root.querySelector(`[aria-label="kind of layer ${number}"]`).focus();
    });
    const remove = element("button", { type: "button", "aria-label": `Remove layer ${number}` }, "✕");
    remove.addEventListener("click", () => {
      state.layers.splice(number - 1, 1);
      if (number < state.chosen) state.chosen -= 1; // the same layer, which moved up
      state.chosen = Math.min(state.chosen, state.layers.length);
      edit();
      add.focus();
    });
    remove.disabled = state.layers.length === 1;
    const pick = element("input", { type: "radio", name: "shown", "aria-label": `show layer ${number}` });
    pick.addEventListener("change", () => { state.chosen = number; redraw(); });
    const cells = layer.kind === "skip"
      ? [element("td", { colspan: 4 }, "around ", field(layer, number, "around", { least: 1, most: 16 }), " layers")]
      : Object.entries(FIELDS).map(([name, range]) =>
        element("td", {}, field(layer, number, name, range)));
    return element("tr", {}, element("td", {}, pick, String(number)), element("td", {}, kind), ...cells,
      ...["units", "size", "jump", "start"].map((name) => element("td", { class: name })),
      element("td", {}, remove));
  };

  /** The table anew, after a layer came, went or became another kind. */
  const edit = () => {
    rows.replaceChildren(...state.layers.map((layer, place) => row(layer, place + 1)));
    redraw();
  };

  /** All that follows from the layers. */
  const redraw = () => {
    const maps = follow(state.layers, pixels());
    const message = typeof maps.at(-1) === "string" ? maps.pop() : null;
    state.message = message ? ` Layer ${maps.length}: ${message}` : "";
    state.shown = Math.min(state.chosen, maps.length - 1);
    for (const [place, line] of [...rows.children].entries()) {
      const map = maps[place + 1];
      line.classList.toggle("picked", place + 1 === state.shown);
      const pick = line.querySelector("[type=radio]");
      pick.checked = place + 1 === state.shown;
      pick.disabled = !map;
      for (const name of ["units", "size", "jump", "start"]) {
        line.querySelector(`.${name}`).textContent = map ? written(map[name]) : "–";
      }
    }
    // Of a long table only a part is seen; the layer that is spoken of shall be in it.
    if (state.shown) keepInSight(rows.children[state.shown - 1]);
    const map = maps[state.shown];
    for (const axis of ["row", "column"]) {
      const before = unit.values[axis];
      unit.set(axis, Math.min(before, map.units - 1), map.units - 1);
    }
    paper(map);
    look();
  };

  /** Start from a preset, with the unit in the middle of its last map. */
  const start = () => {
    state.layers = presets[choose.value].layers.map((layer) => ({ ...layer }));
    state.chosen = state.layers.length;
    edit();
    const { units } = follow(state.layers.slice(0, state.shown), pixels()).at(-1);
    for (const axis of ["row", "column"]) unit.set(axis, Math.floor(units / 2));
    look();
  };
  choose.addEventListener("change", start);
  kindOfView.addEventListener("change", look);
  add.addEventListener("click", () => {
    state.layers.push({ ...state.layers.at(-1) });
    state.chosen = state.layers.length;
    edit();
  });
  drawn.addEventListener("click", (event) => {
    const point = new DOMPoint(event.clientX, event.clientY).matrixTransform(drawn.getScreenCTM().inverse());
    const map = follow(state.layers.slice(0, state.shown), pixels()).at(-1);
    unit.set("row", nearestUnit(Math.floor(point.y), map));
    unit.set("column", nearestUnit(Math.floor(point.x), map));
    look();
  });
  choose.value = given.layers ? "own" : given.preset ?? PARAMETERS.preset.start;
  start();
});
