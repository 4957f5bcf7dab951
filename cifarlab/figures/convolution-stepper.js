// A kernel slides over an input: who reads whom, how large the output is, and what it costs.
// After convolution.js.

const PARAMETERS = {
  "size": { "start": 7, "least": 3, "most": 10 },
  "kernel": { "start": 3, "least": 1, "most": 5 },
  "stride": { "start": 1, "least": 1, "most": 4 },
  "padding": { "start": 0, "least": 0, "most": 4 },
  "dilation": { "start": 1, "least": 1, "most": 4 },
  "in_channels": { "start": 4, "least": 1, "most": 8 },
  "out_channels": { "start": 4, "least": 1, "most": 8 },
  "groups": { "start": 1, "least": 1, "most": 8 }
};

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

/** Why the channels cannot be shared out to the groups; null if they can. */
const faultOfGroups = ({ in_channels, out_channels, groups }) =>
  in_channels % groups === 0 && out_channels % groups === 0
    ? null
    : `${groups} groups cannot share ${in_channels} channels in and ${out_channels} channels out ` +
      "evenly. Choose a number that divides both.";

// ---------------------------------------------------------------------------------- drawing

const PACE = 700; // milliseconds an output is shown while playing

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

figure("convolution-stepper", `${PARTS}
.boards > div { min-width: 0; }
[role="grid"] {
  display: grid; gap: 2px; grid-template-columns: repeat(var(--cells), minmax(0, 2rem));
}
[role="row"] { display: contents; }
[role="gridcell"] {
  align-items: center; aspect-ratio: 1; background: color-mix(in srgb, currentcolor 14%, transparent);
  border-radius: 15%; display: flex; justify-content: center; outline-offset: 0; touch-action: manipulation;
}
[role="gridcell"].padding { background: none; border: 1px dashed var(--line); }
[role="gridcell"].picked { background: var(--second); }
[role="gridcell"].read { background: var(--accent); }
[role="gridcell"].read::after {
  background: var(--pst-color-background, var(--jp-layout-color0, Canvas)); border-radius: 50%;
  content: ""; height: 30%; width: 30%;
}
[role="gridcell"].padding.read { background: color-mix(in srgb, var(--accent) 45%, transparent); }
[role="status"] { margin: 0; min-height: 3em; }
.wiring { flex: none; width: 10rem; }
.wiring circle { fill: var(--accent); }
.wiring path { stroke: currentcolor; stroke-opacity: 0.6; }
dl { flex: 1 1 18rem; margin: 0; min-width: 0; }
dt { font-weight: 600; }
dd { margin: 0 0 0.5rem; }
@media print { .boards { break-inside: avoid; } }
@media (prefers-reduced-motion: reduce) { .play { display: none; } }
`, (root, given) => {
  const { panel, values } = sliders(PARAMETERS, given, () => redraw());
  const play = element("button", { type: "button", class: "play" });
  const back = element("button", { type: "button" }, "Back");
  const step = element("button", { type: "button" }, "Step");
  const boards = element("div", { class: "row boards" });
  const said = element("p", { role: "status" });
  const cost = element("div", { class: "row" });
  root.append(panel, boards, said, element("div", { class: "row" }, back, step, play), cost);

  let input, output; // the boards
  let shown = { side: "output", place: [0, 0] };
  let timer = null;

  /** Light the cell `place` of one board, and those of the other that it reads or is read by. */
  const pick = (side, place) => {
    shown = { side, place };
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
        (padding ? ` Of its ${read.length} taps, ${padding} lie in the padding.` : "");
    } else {
      said.textContent = read.length
        ? `Input ${name} is read by ${read.length} of ${output.at.size} outputs: ${where}.`
        : `Input ${name} is read by no output.`;
    }
  };

  const redraw = () => {
    const { size, padding } = values;
    const objection = fault(size, values) ?? faultOfGroups(values);
    for (const button of [back, step, play]) button.disabled = objection !== null;
    if (objection) {
      stop();
      boards.replaceChildren();
      cost.replaceChildren();
      said.textContent = objection;
      return;
    }
    const outputs = outputSize(size, values);
    input = board(-padding, size + 2 * padding, "Input", (place) => pick("input", place));
    output = board(0, outputs, "Output", (place) => pick("output", place));
    for (const [place, cell] of input.at) {
      const inside = place.split(",").every((index) => index >= 0 && index < size);
      cell.classList.toggle("padding", !inside);
    }
    boards.replaceChildren(
      element("div", {}, element("p", { class: "title" }, `Input, ${size} × ${size}`), input.grid),
      element("div", {}, element("p", { class: "title" }, `Output, ${outputs} × ${outputs}`), output.grid));
    cost.replaceChildren(formulas(values, outputs), wiring(values));
    // What was shown may no longer exist.
    pick("output", shown.side === "output" ? shown.place.map((i) => Math.min(i, outputs - 1)) : [0, 0]);
  };

  /** The next output in reading order, or with -1 the one before; round at the end. */
  const move = (by) => {
    const outputs = output.at.size;
    const width = Math.sqrt(outputs);
    const before = shown.side === "output" ? shown.place[0] * width + shown.place[1] : -by;
    const index = (before + by + outputs) % outputs;
    pick("output", [Math.floor(index / width), index % width]);
  };
  const stop = () => {
    clearInterval(timer);
    timer = null;
    play.textContent = "Play";
    said.setAttribute("aria-live", "polite");
  };
  step.addEventListener("click", () => { stop(); move(1); });
  back.addEventListener("click", () => { stop(); move(-1); });
  play.addEventListener("click", () => {
    if (timer) return stop();
    play.textContent = "Pause";
    said.setAttribute("aria-live", "off"); // a voice could not keep up
    timer = setInterval(() => (root.host.isConnected ? move(1) : stop()), PACE);
  });
  stop();
  redraw();
});
