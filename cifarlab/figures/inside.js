// What lies inside a network that runs in the page: its blocks, their maps, and what a unit sees.
// After network.js and picture.js, of which it uses `inputs` and `paint`.

/**
 * The numbers of the maps at which a block ends: behind a ReLU, and with no way around, for no later
 * step reads an earlier map.
 */
const blockEnds = (steps) => steps.flatMap(({ kind }, n) => {
  const passed = steps.slice(n + 1).every(({ sources }) => sources.every((map) => map > n));
  return kind === "relu" && passed ? [n + 1] : [];
});

/** Height and width of the picture and of what each step gives. */
const sizesOf = (steps, height, width) => {
  const sizes = [{ height, width }];
  for (const step of steps) {
    const size = sizes[step.sources[0]];
    sizes.push(step.kind !== "convolution" ? size : {
      height: inputs(size.height, 0, step).length, width: inputs(size.width, 1, step).length,
    });
  }
  return sizes;
};

/**
 * Which pixels of a picture the unit (y, x) of map `number` sees: 1 or 0 for each, row by row. From
 * the unit back, step by step, every unit that is read is marked, and what lies in a padding is not.
 */
const seenBy = (steps, number, [y, x], height, width) => {
  const sizes = sizesOf(steps, height, width);
  const marks = sizes.map((size) => new Uint8Array(size.height * size.width));
  marks[number][y * sizes[number].width + x] = 1;
  for (let n = number; n > 0; n--) {
    const step = steps[n - 1];
    for (const source of step.sources) {
      const size = sizes[source];
      const [rows, columns] = step.kind !== "convolution" ? [null, null]
        : [inputs(size.height, 0, step), inputs(size.width, 1, step)];
      marks[n].forEach((mark, place) => {
        if (!mark) return;
        if (!rows) marks[source][place] = 1;
        else for (const row of rows[Math.floor(place / sizes[n].width)]) {
          for (const column of columns[place % sizes[n].width]) {
            if (row >= 0 && column >= 0) marks[source][row * size.width + column] = 1;
          }
        }
      });
    }
  }
  return marks[0];
};

/** First and last row and column of what is marked, and how many marks; null if there is none. */
const boundsOf = (marks, width) => {
  const places = [...marks.keys()].filter((place) => marks[place]);
  if (!places.length) return null;
  const [rows, columns] = [places.map((place) => Math.floor(place / width)), places.map((place) => place % width)];
  return {
    top: Math.min(...rows), left: Math.min(...columns),
    bottom: Math.max(...rows), right: Math.max(...columns), count: places.length,
  };
};

/** The greatest number of each channel of a map. */
const peaksOf = ({ channels, data }) => {
  const peaks = new Float32Array(channels).fill(-Infinity);
  data.forEach((value, n) => { if (value > peaks[n % channels]) peaks[n % channels] = value; });
  return peaks;
};

/** The channels, the one with the greatest number first. */
const strongestFirst = (peaks) => [...peaks.keys()].sort((one, other) => peaks[other] - peaks[one] || one - other);

/** One channel of a map as grey pixels: black for 0, white for `most`. */
const greys = ({ height, width, channels, data }, channel, most) =>
  Uint8ClampedArray.from({ length: 3 * height * width }, (_, n) => (255 * data[Math.floor(n / 3) * channels + channel]) / most);

/** What a unit sees, in words. */
const sight = (bounds) => {
  if (!bounds) return "nothing of the picture: only padding";
  const { top, left, bottom, right, count } = bounds;
  const [high, wide] = [bottom - top + 1, right - left + 1];
  const holes = count < high * wide ? `, of which it reads ${count.toLocaleString("en-GB")}` : "";
  return `rows ${top} to ${bottom} and columns ${left} to ${right} of the picture: ${high}×${wide} pixels${holes}`;
};

// ---------------------------------------------------------------------------------- drawing

const FEW = 12; // maps that are shown at first, and how many more each time
const STEPS_OF = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] };

const INSIDE = `
.inside { border-top: 1px solid var(--line); margin: 1rem 0; padding-top: 0.6rem; }
.inside summary { cursor: pointer; font-weight: 600; min-height: 1.6rem; }
.blocks { display: grid; gap: 0 1rem; grid-template-columns: repeat(auto-fill, minmax(min(100%, 15rem), 1fr)); }
.blocks label { align-items: center; cursor: pointer; display: flex; gap: 0.4rem; min-height: 1.8rem; }
.blocks input { margin: 0; }
.pair { display: grid; gap: 0.8rem; grid-template-columns: 1fr 1fr; margin: 0.8rem 0; max-width: 28rem; }
.pair > div { font-size: 0.9375rem; line-height: 1.3; min-width: 0; }
.eye, .units { aspect-ratio: 1; display: block; margin-bottom: 0.3rem; overflow: hidden; position: relative; width: 100%; }
.units { border: 0; border-radius: 0; cursor: crosshair; padding: 0; touch-action: manipulation; }
.inside canvas { display: block; height: 100%; image-rendering: pixelated; width: 100%; }
.frame, .mark { border: 2px solid white; forced-color-adjust: none; outline: 1px solid black; pointer-events: none; position: absolute; }
.frame { box-shadow: 0 0 0 60rem rgb(0 0 0 / 55%); }
.mark { min-height: 7px; min-width: 7px; }
.frame[hidden] { display: none; }
.maps { display: flex; flex-wrap: wrap; gap: 0.3rem; margin: 0.8rem 0; }
.maps button { border: 3px solid transparent; height: 4.25rem; min-height: 0; padding: 0; width: 4.25rem; }
.maps [aria-pressed="true"] { border-color: var(--second); }
@media (forced-colors: active) { .maps [aria-pressed="true"] { border-color: Highlight; } }
@media print { .maps button, .units { display: block; } }
`;

/** Put `part` over the cells `first` to `last`, as [row, column], of a board of so many. */
const lieOver = (part, [top, left], [bottom, right], { height, width }) => Object.assign(part.style, {
  height: `${(100 * (bottom - top + 1)) / height}%`, left: `${(100 * left) / width}%`,
  top: `${(100 * top) / height}%`, width: `${(100 * (right - left + 1)) / width}%`,
});

/**
 * A fold, closed at first, that shows what a network found on the way to its answer: `fold`, and
 * `update(network, found, pixels, moving)`, to be told of each answer. Nothing is computed while it
 * is closed.
 */
const lookInside = () => {
  let latest = null; // what `update` was told
  let listed = null; // the network whose blocks are listed
  let ends = [];
  let place = 0; // of the chosen block among them
  let unit = null; // the chosen one: { channel, y, x }
  let order = []; // of the channels, as they are shown
  let many = FEW;
  let speaking = 0;

  const blocks = element("div", { class: "blocks", role: "radiogroup", "aria-label": "Block" });
  const scale = element("p", { class: "note" });
  const picture = element("canvas", { role: "img" });
  const frame = element("div", { class: "frame" });
  const large = element("canvas", { "aria-hidden": "true" });
  const mark = element("div", { class: "mark" });
  const units = element("button", { class: "units", type: "button" }, large, mark);
  const caption = element("div");
  const said = element("p", { class: "note", "aria-live": "polite" });
  const maps = element("div", { class: "maps", role: "group", "aria-label": "Maps of the block, the strongest first" });
  const more = element("button", { type: "button" });
  const fold = element("details", { class: "inside", hidden: "" },
    element("summary", {}, "Look inside: the maps, block by block"),
    element("p", { class: "note" }, "A block ends where all that the network knows of the picture passes " +
      "through one set of maps. Choose a block, a map, and a unit: by a click, or by the arrow keys on the large map. " +
      "Framed in the picture is what that unit sees of it, its receptive field; what lies outside of the picture is cut off."),
    blocks,
    element("div", { class: "pair" },
      element("div", {}, element("div", { class: "eye" }, picture, frame), "The picture, and what the unit sees"),
      element("div", {}, units, caption)),
    said, scale, maps, more);

  /** The maps of the chosen block. */
  const current = () => latest.found[ends[place]];

  /** Show which unit is chosen, and what it sees. */
  const point = () => {
    const map = current();
    const { channel, y, x } = unit;
    const { height, width } = latest.found[0];
    const bounds = boundsOf(seenBy(latest.network.steps, ends[place], [y, x], height, width), width);
    frame.hidden = !bounds;
    if (bounds) lieOver(frame, [bounds.top, bounds.left], [bounds.bottom, bounds.right], { height, width });
    lieOver(mark, [y, x], [y, x], map);
    units.setAttribute("aria-label",
      `map ${channel + 1}, unit in row ${y}, column ${x}; the arrow keys choose another`);
    picture.setAttribute("aria-label", `picture in which a frame shows what the unit sees: ${sight(bounds)}`);
    const words = `Block ${place + 1}, map ${channel + 1}: the unit in row ${y}, column ${x} sees ${sight(bounds)}.`;
    clearTimeout(speaking); // no voice keeps up with a key that is held
    speaking = setTimeout(() => { if (said.textContent !== words) said.textContent = words; }, 300);
  };

  /** Paint the maps, each number on the scale of the block. */
  const shade = () => {
    const map = current();
    const peaks = peaksOf(map);
    const most = Math.max(...peaks) > 0 ? Math.max(...peaks) : 1;
    [...maps.children].forEach((tile, n) =>
      paint(tile.firstChild, map.width, map.height, greys(map, order[n], most)));
    paint(large, map.width, map.height, greys(map, unit.channel, most));
    const value = map.data[(unit.y * map.width + unit.x) * map.channels + unit.channel];
    caption.textContent = `Map ${unit.channel + 1} of ${map.channels}; this unit: ${value.toFixed(2)}`;
    scale.textContent = `${Math.min(many, map.channels)} of ${map.channels} maps, the one with the greatest number first. ` +
      `All have one scale, so that they can be compared: black is 0, white ${most.toFixed(2)}, the greatest number of the block.`;
    const { height, width } = latest.found[0];
    paint(picture, width, height, latest.pixels);
  };

  /** Choose a map; without a place in it, its strongest unit. */
  const pick = (channel, at = null) => {
    const map = current();
    const values = Array.from({ length: map.height * map.width }, (_, n) => map.data[n * map.channels + channel]);
    const best = values.indexOf(Math.max(...values));
    const [y, x] = at ?? [Math.floor(best / map.width), best % map.width];
    unit = { channel, y, x };
    [...maps.children].forEach((tile, n) => tile.setAttribute("aria-pressed", String(order[n] === channel)));
    shade();
    point();
  };

  /** The unit under a pointer, as [row, column]; null where a key was pressed instead. */
  const under = (event, canvas) => {
    if (!event.detail) return null;
    const { left, top, width, height } = canvas.getBoundingClientRect();
    const map = current();
    const within = (share, size) => Math.min(size - 1, Math.max(0, Math.floor(share * size)));
    return [within((event.clientY - top) / height, map.height), within((event.clientX - left) / width, map.width)];
  };

  /** Lay out the small pictures anew, the strongest first. */
  const tile = () => {
    const map = current();
    const peaks = peaksOf(map);
    order = strongestFirst(peaks);
    const shown = order.slice(0, many);
    while (maps.children.length > shown.length) maps.lastChild.remove();
    while (maps.children.length < shown.length) {
      const n = maps.children.length;
      const canvas = element("canvas", { "aria-hidden": "true" });
      const button = element("button", { type: "button" }, canvas);
      button.addEventListener("click", (event) => pick(order[n], under(event, canvas)));
      maps.append(button);
    }
    shown.forEach((channel, n) => {
      maps.children[n].setAttribute("aria-label", `map ${channel + 1}, at most ${peaks[channel].toFixed(2)}`);
      maps.children[n].setAttribute("aria-pressed", String(channel === unit?.channel));
    });
    more.hidden = many >= map.channels;
    more.textContent = `${Math.min(FEW, map.channels - many)} more maps`;
  };

  /** Choose a block: its strongest map, and of that the strongest unit. */
  const enter = (number) => {
    [place, many, unit] = [number, FEW, null];
    tile();
    pick(order[0]);
  };

  /** List the blocks of a network that was not yet listed. */
  const list = () => {
    listed = latest.network;
    blocks.replaceChildren(...ends.map((number, n) => {
      const { height, width, channels } = latest.found[number];
      const input = element("input", { type: "radio", name: "block", value: n });
      input.addEventListener("change", () => enter(n));
      return element("label", {}, input, `Block ${n + 1}: ${channels} maps of ${height}×${width}`);
    }));
    enter(Math.min(place, ends.length - 1));
    blocks.children[place].firstChild.checked = true;
  };

  /** Show the latest answer, if the fold is open. */
  const draw = (moving) => {
    if (!fold.open || !latest || !ends.length) return;
    if (listed !== latest.network) list();
    if (!moving) tile(); // while a picture moves, maps that changed their places could not be followed
    shade();
  };

  fold.addEventListener("toggle", () => draw(false));
  more.addEventListener("click", () => {
    const next = maps.children.length;
    many += FEW;
    tile();
    shade();
    maps.children[next].focus();
  });
  units.addEventListener("click", (event) => {
    const at = under(event, large);
    if (at) pick(unit.channel, at);
  });
  units.addEventListener("keydown", (event) => {
    if (event.altKey || event.ctrlKey || event.metaKey) return; // the browser's: a page back
    if (!STEPS_OF[event.key]) return;
    event.preventDefault();
    const { height, width } = current();
    const [y, x] = [unit.y + STEPS_OF[event.key][0], unit.x + STEPS_OF[event.key][1]];
    pick(unit.channel, [Math.min(height - 1, Math.max(0, y)), Math.min(width - 1, Math.max(0, x))]);
  });

  /** Be told of an answer: what the `network` `found` in the `pixels`, and whether the next is on its way. */
  const update = (network, found, pixels, moving) => {
    if (latest?.network !== network) ends = blockEnds(network.steps);
    latest = { network, found, pixels };
    fold.hidden = !ends.length;
    draw(moving);
  };
  return { fold, update };
};
