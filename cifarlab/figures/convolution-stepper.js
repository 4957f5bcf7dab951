// A kernel slides over a picture: who reads whom, what comes out, how large that is, and what it costs.
// After convolution.js.
// After animation.js.

const PARAMETERS = {
  "size": { "start": 7, "least": 3, "most": 10 },
  "kernel": { "start": 3, "least": 1, "most": 5 },
  "stride": { "start": 1, "least": 1, "most": 4 },
  "padding": { "start": 0, "least": 0, "most": 4 },
  "dilation": { "start": 1, "least": 1, "most": 4 },
  "in_channels": { "start": 4, "least": 1, "most": 8 },
  "out_channels": { "start": 4, "least": 1, "most": 8 },
  "groups": { "start": 1, "least": 1, "most": 8 },
  "motif": { "among": ["seven", "ring", "edge", "slope", "checks", "dot"] },
  "weights": { "among": ["left to right", "top to bottom", "blur", "sharpen", "copy"] }
};

/** Pictures of any size: from 0, black, to 9, white, so that one can check the sums in one's head. */
const MOTIFS = {
  seven: (row, column, size) => {
    const down = Math.round(size - 2 - 0.6 * (size - 2) * (row - 1) / Math.max(size - 3, 1));
    const stroke = row === 1 ? column > 0 && column < size - 1 : row > 1 && row < size - 1 && column === down;
    return stroke ? 9 : 1;
  },
  ring: (row, column, size) => {
    const middle = (size - 1) / 2;
    const off = Math.abs(Math.hypot(row - middle, column - middle) - 0.75 * middle);
    return Math.round(9 * Math.max(0, 1 - off));
  },
  edge: (row, column, size) => (column < size / 2 ? 1 : 8),
  slope: (row, column, size) => Math.round(9 * (row + column) / (2 * size - 2)),
  checks: (row, column) => 9 * ((row + column) % 2),
  dot: (row, column, size) => 9 * (row === size >> 1 && column === size >> 1),
};

/** Kernels of any size: a weight for each row and column. */
const WEIGHTS = {
  "left to right": (row, column, kernel) => {
    const middle = (kernel - 1) / 2;
    return kernel === 1 ? 1 : Math.sign(column - middle) * (row === middle ? 2 : 1);
  },
  "top to bottom": (row, column, kernel) => WEIGHTS["left to right"](column, row, kernel),
  "blur": () => 1,
  "sharpen": (row, column, kernel) => {
    const steps = Math.abs(row - (kernel >> 1)) + Math.abs(column - (kernel >> 1));
    return [5, -1][steps] ?? 0;
  },
  "copy": (row, column, kernel) => Number(row === kernel >> 1 && column === kernel >> 1),
};

/** A square of numbers, by row. */
const square = (side, value) => Array.from({ length: side }, (_, row) =>
  Array.from({ length: side }, (_, column) => value(row, column, side)));

/** For an output at `place`, the pixels under its weights, by row; padding is 0. */
const pixelsUnder = ([down, across], pixels, layer) => taps(down, layer).map((row) =>
  taps(across, layer).map((column) => pixels[row]?.[column] ?? 0));

/** The products of pixels and weights, added up. */
const sumOf = (pixels, weights) => pixels.flat().reduce(
  (sum, pixel, place) => sum + pixel * weights.flat()[place], 0);

/** All outputs, by row. */
const outputs = (pixels, weights, layer) => square(outputSize(pixels.length, layer),
  (row, column) => sumOf(pixelsUnder([row, column], pixels, layer), weights));

/** The outputs that read an input, along one axis. */
const readers = (input, size, layer) =>
  Array.from({ length: Math.max(outputSize(size, layer), 0) }, (_, output) => output).filter(
    (output) => taps(output, layer).includes(input));

/** The input channels that an output channel reads. */
const channelsRead = (channel, { in_channels, out_channels, groups }) => {
  const width = in_channels / groups;
  const first = Math.floor(channel / (out_channels / groups)) * width;
  return Array.from({ length: width }, (_, place) => first + place);
};

/** Weights of the layer, without bias. */
const countParameters = ({ kernel, in_channels, out_channels, groups }) =>
  out_channels * (in_channels / groups) * kernel ** 2;

/** The next number of groups, on the way from `before`, to which all channels can be shared out evenly. */
const groupsNear = ({ in_channels, out_channels, groups }, before) => {
  const least = Math.min(in_channels, out_channels);
  const shared = Array.from({ length: least }, (_, place) => place + 1).filter(
    (each) => in_channels % each === 0 && out_channels % each === 0);
  const below = shared.findLast((each) => each <= groups);
  return groups > before ? shared.find((each) => each >= groups) ?? below : below;
};

// ---------------------------------------------------------------------------------- drawing

/**
 * Grey of a number from `lowest` to `highest`, behind writing that can be read on it: up to this
 * share white has the greater contrast.
 */
const shade = (number, lowest, highest) => {
  const share = highest > lowest ? (number - lowest) / (highest - lowest) : 0.5;
  const grey = Math.round(255 * share);
  return `background: rgb(${grey} ${grey} ${grey}); color: ${share > 0.46 ? "#000" : "#fff"}`;
};

/** A square of cells to point at, to tap, or to walk through with the arrow keys. */
const board = (first, length, name, picked) => {
  const at = new Map();
  const rows = Array.from({ length }, (_, row) => element("div", { role: "row" },
    ...Array.from({ length }, (_, column) => {
      const place = [first + row, first + column];
      const cell = element("div", {
        role: "gridcell", tabindex: -1, "aria-label": `${name} ${place.map(written).join(", ")}`,
      });
      at.set(String(place), cell);
      cell.addEventListener("focus", () => picked(place));
      cell.addEventListener("click", () => cell.focus());
      cell.addEventListener("pointerenter", ({ pointerType }) => {
        if (pointerType === "mouse") picked(place);
      });
      cell.addEventListener("keydown", (event) => {
        const move = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] };
        // With such a key held down it is the browser's: Alt and left go a page back.
        if (!(event.key in move) || event.altKey || event.ctrlKey || event.metaKey) return;
        event.preventDefault(); // the page would scroll
        at.get(String(place.map((index, axis) => index + move[event.key][axis])))?.focus();
      });
      return cell;
    })));
  const grid = element("div", { role: "grid", "aria-label": name, style: `--cells: ${length}` });
  grid.append(...rows);
  return { grid, at };
};

/** A line from each input channel to each output channel that reads it. */
const wiring = (layer) => {
  const { in_channels, out_channels, groups } = layer;
  const height = 16 * Math.max(in_channels, out_channels);
  const y = (channel, channels) => height / 2 + 16 * (channel - (channels - 1) / 2);
  const lines = Array.from({ length: out_channels }, (_, to) => channelsRead(to, layer).map(
    (from) => `M12 ${y(from, in_channels)}L148 ${y(to, out_channels)}`));
  const dots = (x, channels) => Array.from({ length: channels }, (_, channel) =>
    `<circle cx="${x}" cy="${y(channel, channels)}" r="5"/>`).join("");
  const drawn = element("div", { class: "wiring" });
  drawn.innerHTML = `<svg viewBox="0 0 160 ${height}" role="img" aria-label="${in_channels} channels in,
    ${out_channels} out; each channel out reads ${in_channels / groups} in."><path
    d="${lines.flat().join("")}"/>${dots(12, in_channels)}${dots(148, out_channels)}</svg>`;
  return drawn;
};

/** Size, shape and cost, each as a formula with the numbers in it. */
const formulas = (layer, outputs) => {
  const { size, kernel, stride, padding, dilation, in_channels, out_channels, groups } = layer;
  const weights = countParameters(layer);
  const lines = {
    "Output size": `⌊(size + 2 · padding − dilation · (kernel − 1) − 1) / stride⌋ + 1 = ` +
      `⌊(${size} + 2 · ${padding} − ${dilation} · ${kernel - 1} − 1) / ${stride}⌋ + 1 = ${outputs}`,
    "Shape": `(${in_channels}, ${size}, ${size}) → (${out_channels}, ${outputs}, ${outputs})`,
    "Weights": `out · (in / groups) · kernel² = ${out_channels} · (${in_channels} / ${groups}) · ` +
      `${kernel}² = ${written(weights)}`,
    "Multiply-adds": `weights · outputs = ${written(weights)} · ${outputs}² = ` +
      written(weights * outputs ** 2),
  };
  return element("dl", {}, ...Object.entries(lines).flatMap(([name, line]) =>
    [element("dt", {}, name), element("dd", {}, line)]));
};

figure("convolution-stepper", `${PARTS}${MOTION}
.boards { gap: 1rem 0.8rem; justify-content: space-between; }
.boards > div { max-width: 100%; min-width: 0; }
[role="grid"] {
  display: grid; gap: 2px; grid-template-columns: repeat(var(--cells), minmax(0, 1.75rem));
}
.out [role="grid"] { grid-template-columns: repeat(var(--cells), minmax(0, 2.2rem)); }
[role="row"] { display: contents; }
[role="gridcell"] {
  align-items: center; aspect-ratio: 1; border: 1px solid var(--line); display: flex;
  font-variant-numeric: tabular-nums; justify-content: center; line-height: 1; outline-offset: 0;
  overflow: hidden; touch-action: manipulation;
}
[role="gridcell"].padding, [role="gridcell"].empty { border-style: dashed; }
[role="gridcell"].read { box-shadow: inset 0 0 0 3px var(--accent); }
[role="gridcell"].picked { box-shadow: inset 0 0 0 3px var(--second); }
.said { margin: 0; min-height: 3em; }
.weights { display: grid; gap: 0.4rem 0.2rem; grid-template-columns: repeat(var(--cells), 2.9rem); }
.weights label { display: grid; justify-items: center; line-height: 1.4; }
.weights span { color: color-mix(in srgb, currentcolor 75%, transparent); }
.weights input {
  appearance: textfield; background: var(--faint); border: 2px solid var(--accent);
  border-radius: 0.25rem; padding: 0.1rem; text-align: center; width: 100%;
}
.weights input::-webkit-inner-spin-button { appearance: none; }
.weights b, .sum { font-variant-numeric: tabular-nums; }
@media (max-width: 46rem) { .products { order: 1; } } /* input and output in one look */
.choices label { align-items: center; display: flex; flex-wrap: wrap; gap: 0.5rem; }
.wiring { flex: none; width: 10rem; }
.wiring circle { fill: var(--accent); }
.wiring path { stroke: currentcolor; stroke-opacity: 0.6; }
dl { flex: 1 1 18rem; margin: 0; min-width: 0; }
dt { font-weight: 600; }
dd { margin: 0 0 0.5rem; }
.row[inert] { opacity: 0.4; }
@media print { .boards { break-inside: avoid; } }
`, (root, given) => {
  const limits = Object.fromEntries(Object.entries(PARAMETERS).filter(([, each]) => "least" in each));
  const { panel, values, set } = sliders(limits, given, () => redraw());
  const boards = element("div", { class: "row boards" });
  const { said, spoken } = readAloud();
  const cost = element("div", { class: "row" });
  /** A list of what a parameter is among, and of "your own", which a learner's hand makes of it. */
  const choice = (name, label, chosen) => {
    const select = element("select", {}, ...[...PARAMETERS[name].among, "your own"].map(
      (each) => element("option", {}, each)));
    select.value = given[name] ?? PARAMETERS[name].among[0];
    select.addEventListener("change", () => select.value === "your own" || chosen());
    return { select, label: element("label", {}, label, select) };
  };
  const motif = choice("motif", "Picture", () => redraw());
  const preset = choice("weights", "Weights", () => redraw());

  let input, output; // the boards
  let pixels = [], weights = [], sums = []; // by row
  let groups = values.groups; // before a slider moved
  let reached = Infinity; // how many outputs are filled in
  let shown = { side: "output", place: [0, 0] };

  const player = animation(root.host, spoken, () => output.at.size, (frame, playing) => {
    reached = playing ? frame + 1 : Math.max(reached, frame + 1);
    pick("output", placeOf(frame));
  });
  const placeOf = (frame) => [Math.floor(frame / sums.length), frame % sums.length];
  root.append(panel, element("div", { class: "row choices" }, motif.label, preset.label),
    boards, said, spoken, player.controls, cost);

  /** Write and shade all numbers of a board that `known` says; narrow cells keep the shade alone. */
  const fill = ({ at }, numbers, room, lowest, highest, known = () => true) => {
    for (const [key, cell] of at) {
      const place = key.split(",").map(Number);
      const number = numbers[place[0]]?.[place[1]] ?? 0;
      const filled = known(place);
      const inside = !cell.classList.contains("padding");
      cell.style = filled && inside ? shade(number, lowest, highest) : "";
      cell.textContent = filled && Math.sqrt(at.size) <= room ? written(number) : "";
      cell.setAttribute("aria-description", filled ? `is ${written(number)}` : "not yet computed");
      cell.classList.toggle("empty", !filled);
    }
  };

  /** The weights, to be changed, each between the pixel that it meets and their product. */
  const kernelBoard = () => {
    const under = element("div", { class: "weights", style: `--cells: ${values.kernel}` });
    const cells = weights.flatMap((row, y) => row.map((weight, x) => {
      const number = element("input", {
        type: "number", min: -9, max: 9, value: weight, "aria-label": `Weight ${y}, ${x}`,
      });
      number.addEventListener("input", () => {
        weights[y][x] = number.valueAsNumber || 0;
        preset.select.value = "your own";
        compute();
      });
      const [meets, gives] = [element("span"), element("b")];
      under.append(element("label", {}, meets, number, gives));
      return { meets, gives };
    }));
    const sum = element("p", { class: "sum" });
    const title = element("p", { class: "title" }, "Pixel × weight");
    const all = element("div", { class: "products" }, title, under, sum);
    /** Fill in what the kernel meets at an output. */
    const meet = (place) => {
      const met = pixelsUnder(place, pixels, values).flat();
      for (const [index, { meets, gives }] of cells.entries()) {
        meets.textContent = `${written(met[index])} ×`;
        gives.textContent = `= ${written(met[index] * weights.flat()[index] + 0)}`; // 0, not −0
      }
      sum.textContent = `Sum: ${written(sums[place[0]][place[1]])}`;
    };
    return { all, meet };
  };
  let kernel;

  /** All outputs anew, after a pixel or a weight has changed. */
  const compute = () => {
    sums = outputs(pixels, weights, values);
    fill(input, pixels, 14, 0, 9);
    pick(shown.side, shown.place);
    kernel.meet(placeOf(player.frame));
  };

  /** Light the cell `place` of one board, and those of the other that it reads or is read by. */
  const pick = (side, place) => {
    shown = { side, place };
    if (side === "output") {
      player.frame = place[0] * sums.length + place[1];
      reached = Math.max(reached, player.frame + 1);
      kernel.meet(place);
    }
    const all = sums.flat();
    const most = Math.max(...all.map(Math.abs), 1);
    fill(output, sums, 8, all.some((sum) => sum < 0) ? -most : 0, most,
      ([row, column]) => row * sums.length + column < reached);
    const other = side === "output" ? input : output;
    const look = (index) => side === "output"
      ? taps(index, values) : readers(index, values.size, values);
    const [rows, columns] = place.map(look);
    for (const cell of [...input.at.values(), ...output.at.values()]) {
      cell.classList.remove("picked", "read");
      cell.tabIndex = -1;
    }
    const here = (side === "output" ? output : input).at.get(String(place));
    here.classList.add("picked");
    const read = rows.flatMap((row) => columns.map((column) => other.at.get(String([row, column]))));
    for (const cell of read) cell.classList.add("read");
    // One cell of each board is a stop of the Tab key.
    here.tabIndex = 0;
    (read[0] ?? other.at.values().next().value).tabIndex = 0;
    const padding = read.filter((cell) => cell.classList.contains("padding")).length;
    const where = `rows ${rows.map(written).join(", ")}; columns ${columns.map(written).join(", ")}`;
    const name = `(${place.map(written).join(", ")})`;
    if (side === "output") {
      said.textContent = `Output ${name} reads ${where}.` +
        (padding ? ` Of its ${read.length} taps, ${padding} lie in the padding.` : "") +
        ` The products sum to ${written(sums[place[0]][place[1]])}.`;
    } else {
      said.textContent = read.length
        ? `Input ${name} is read by ${read.length} of ${output.at.size} outputs: ${where}.`
        : `Input ${name} is read by no output.`;
    }
  };

  const redraw = () => {
    const { size, padding } = values;
    groups = groupsNear(values, groups);
    set("groups", groups);
    const objection = fault(size, values, PARAMETERS.padding.most);
    player.stop();
    player.disable(objection !== null);
    // What was there last stays, dimmed, so that nothing below it jumps.
    for (const each of [boards, cost]) each.inert = objection !== null;
    if (objection) {
      said.textContent = objection;
      return;
    }
    const length = outputSize(size, values);
    if (pixels.length !== size || motif.select.value !== "your own") {
      if (motif.select.value === "your own") motif.select.value = PARAMETERS.motif.among[0];
      pixels = square(size, MOTIFS[motif.select.value]);
    }
    if (weights.length !== values.kernel || preset.select.value !== "your own") {
      if (preset.select.value === "your own") preset.select.value = PARAMETERS.weights.among[0];
      weights = square(values.kernel, WEIGHTS[preset.select.value]);
    }
    reached = Infinity;
    input = board(-padding, size + 2 * padding, "Input", (place) => pick("input", place));
    output = board(0, length, "Output", (place) => pick("output", place));
    for (const [key, cell] of input.at) {
      const [row, column] = key.split(",").map(Number);
      const inside = [row, column].every((index) => index >= 0 && index < size);
      cell.classList.toggle("padding", !inside);
      if (inside) cell.addEventListener("keydown", (event) => {
        if (event.altKey || event.ctrlKey || event.metaKey) return; // the browser's, as above
        if (!/^[0-9]$/.test(event.key)) return;
        pixels[row][column] = Number(event.key);
        motif.select.value = "your own";
        compute();
      });
    }
    kernel = kernelBoard();
    boards.replaceChildren(
      element("div", {}, element("p", { class: "title" }, `Input, ${size} × ${size}`), input.grid,
        element("p", { class: "hint" }, "Type a digit to change a pixel.")),
      kernel.all,
      element("div", { class: "out" },
        element("p", { class: "title" }, `Output, ${length} × ${length}`), output.grid));
    cost.replaceChildren(formulas(values, length), wiring(values));
    // What was shown may no longer exist.
    shown = shown.side === "output"
      ? { side: "output", place: shown.place.map((index) => Math.min(index, length - 1)) }
      : { side: "output", place: [0, 0] };
    compute();
  };
  redraw();
});
