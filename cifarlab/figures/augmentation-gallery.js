// What an augmentation drew, before and after, and what a unit of the network then sees of it.
// After convolution.js.

const PARAMETERS = {
  "transform": {
    "start": "all",
    "among": [
      "all", "original", "flip", "translate", "rotate", "scale", "shear", "crop", "cutout"
    ]
  },
  "layer": { "start": "conv1", "among": ["none", "conv0", "conv1", "conv2", "conv3", "conv4"] },
  "numbers": { "file": "augmentation-gallery.json" },
  "sprite": { "file": "augmentation-gallery.webp" }
};

/** First and last pixel that a unit sees along one axis; its field is an odd number of pixels wide. */
const fieldOf = (unit, size) => ({ first: unit - (size - 1) / 2, last: unit + (size - 1) / 2 });

/** Of the field of unit (y, x): the pixels in a picture of `side`, and those that `hole` hides. */
const covered = ([y, x], size, side, hole) => {
  const [rows, columns] = [y, x].map((unit) => fieldOf(unit, size));
  const [left, top, right, bottom] = hole ?? [0, 0, 0, 0];
  const common = ({ first, last }, from, to) =>
    Math.max(Math.min(last + 1, to) - Math.max(first, from), 0);
  return {
    seen: common(rows, 0, side) * common(columns, 0, side),
    // A hole lies within the picture.
    hidden: common(rows, top, bottom) * common(columns, left, right),
  };
};

/** The place (x, y) in the picture before of what stands at a place after. */
const pullBack = ([x, y], [[a, b, right], [c, d, down]]) => {
  const determinant = a * d - b * c;
  const [u, v] = [x - right, y - down];
  return [(d * u - b * v) / determinant, (a * v - c * u) / determinant];
};

/** 2 as "2 pixels <after>", -2 as "2 pixels <before>"; nothing for 0. */
const toward = (pixels, before, after) => pixels === 0 ? []
  : [`${Math.abs(pixels)} ${Math.abs(pixels) === 1 ? "pixel" : "pixels"} ${pixels < 0 ? before : after}`];

/** What was drawn, as a list of words; empty if nothing changed. */
const described = ({ flip, translate, rotate, scale, shear, crop, hole }) => [
  flip && "mirrored",
  scale && `scaled to ${Math.round(100 * (1 + scale))} %`,
  rotate && `rotated by ${Math.abs(rotate)}° ${rotate > 0 ? "counter-clockwise" : "clockwise"}`,
  shear && `sheared by ${written(shear[0])}° along the rows and ${written(shear[1])}° along the columns`,
  translate && "moved " + [
    ...toward(translate[0], "to the left", "to the right"), ...toward(translate[1], "up", "down"),
  ].join(" and "),
  crop && "cropped by a window " + [
    ...toward(crop[0], "to the left", "to the right"), ...toward(crop[1], "up", "down"),
  ].join(" and "),
  hole && `columns ${hole[0]} to ${hole[2] - 1} and rows ${hole[1]} to ${hole[3] - 1} cut out`,
].filter(Boolean);

// ---------------------------------------------------------------------------------- drawing

/** Of each transform: its name, its strength in words, and something to think about. */
const TRANSFORMS = {
  all: {
    name: "The whole pipeline",
    ask: "Flip, affine, crop, cutout, in this order. Is each picture still one of its class?",
  },
  original: {
    name: "The pipeline of 2023",
    ask: "Its hole was meant to be grey. Black is a colour too: which picture has most of it?",
  },
  flip: {
    name: "Flip",
    ask: "Mirrored, all five keep their class. Where would a mirror change the label? Think of letters and road signs.",
  },
  translate: {
    name: "Translate",
    strength: (pixels) => `up to ${pixels} pixels each way`,
    ask: "What comes in over the border is mirrored. When does it show?",
  },
  rotate: {
    name: "Rotate",
    strength: (degrees) => `up to ${degrees}° each way`,
    ask: "Upside down, which of the five could be a photograph? A bird or an airplane in the air, a ship?",
  },
  scale: {
    name: "Scale",
    strength: (share) => `${Math.round(100 - 100 * share)} to ${Math.round(100 + 100 * share)} %`,
    ask: "Half as large, with mirrored borders, the object may appear twice. Is that the same label?",
  },
  shear: {
    name: "Shear",
    strength: (degrees) => `up to ${degrees}° each way`,
    ask: "Of which of the five could this be another point of view?",
  },
  crop: {
    name: "Crop",
    strength: (pixels) => `margin of ${pixels} mirrored pixels`,
    ask: "How does this differ from a translation by whole pixels?",
  },
  cutout: {
    name: "Cutout",
    strength: (pixels) => `hole of ${pixels} × ${pixels} pixels`,
    ask: "From which size on could nobody name the class? And which layer’s units then see nothing but the hole?",
  },
};

const AROUND = 2.5; // pixels shown around a picture, where a field looks at padding

figure("augmentation-gallery", `${PARTS}
[hidden] { display: none !important; }
.pictures { display: grid; gap: 0.75rem; grid-template-columns: repeat(2, minmax(0, 18rem)); }
figure { margin: 0; }
figure svg { display: block; height: auto; overflow: hidden; width: 100%; }
figure.after > svg { cursor: crosshair; }
figcaption { font-weight: 600; }
image { image-rendering: pixelated; }
.frame { fill: none; stroke: var(--line); stroke-dasharray: 0.6 0.4; stroke-width: 0.12; }
.field { fill: none; stroke: var(--second); stroke-linejoin: round; stroke-width: 0.5; }
.under { fill: none; stroke: var(--pst-color-background, var(--jp-layout-color0, Canvas)); stroke-linejoin: round; stroke-width: 1; }
.choices { display: grid; gap: 0.6rem 1rem; grid-template-columns: repeat(auto-fill, minmax(min(100%, 13rem), 1fr)); }
.choices label, .choices select { display: block; width: 100%; }
.choices input { height: 2.25rem; margin: 0; width: 100%; }
.draws { align-items: center; }
.source { font-size: 0.875rem; }
`, (root, given) => {
  const { pictures, fields, sheet, draws, source } = given.numbers;
  const select = (label, options) => {
    const made = element("select", {}, ...Object.entries(options).map(
      ([value, name]) => element("option", { value }, name)));
    return { made, label: element("label", {}, label, made) };
  };
  const names = Object.fromEntries(Object.entries(TRANSFORMS).map(([key, { name }]) => [key, name]));
  const transform = select("Transform", names);
  const picture = select("Picture", pictures);
  const layer = select("Field of a unit of", {
    none: "no layer",
    ...Object.fromEntries(Object.entries(fields).map(
      ([name, size]) => [name, `${name}: ${size} × ${size} pixels`])),
  });
  const strength = element("input", { type: "range", min: 0 });
  const strengthWords = element("span");
  const strengthLabel = element("label", {}, "Strength: ", strengthWords, strength);
  const back = element("button", { type: "button" }, "Previous draw");
  const next = element("button", { type: "button" }, "Next draw");
  const middle = sheet.side / 2;
  const unit = sliders({
    row: { start: middle, least: 0, most: sheet.side - 1 },
    column: { start: middle, least: 0, most: sheet.side - 1 },
  }, {}, () => redraw());

  /** A picture, cut from the sheet by its view box, with room for a field on top. */
  const panel = (kind) => {
    const image = svg("image", { width: sheet.width, height: sheet.height, href: given.sprite });
    const window = svg("svg", { width: sheet.side, height: sheet.side }, image);
    const outlines = ["under", "field"].map((name) => svg("polygon", { class: name }));
    const extent = sheet.side + 2 * AROUND;
    const drawn = svg("svg", { role: "img", viewBox: [-AROUND, -AROUND, extent, extent].join(" ") },
      window, svg("rect", { width: sheet.side, height: sheet.side, class: "frame" }), ...outlines);
    const caption = element("figcaption", {}, kind[0].toUpperCase() + kind.slice(1));
    return { figure: element("figure", { class: kind }, drawn, caption), drawn, window, outlines };
  };
  const before = panel("before");
  const after = panel("after");
  const { said, spoken } = readAloud();
  const ask = element("p");
  root.append(
    element("div", { class: "choices" }, transform.label, picture.label, layer.label, strengthLabel),
    element("div", { class: "row draws" }, back, next),
    element("div", { class: "pictures" }, before.figure, after.figure),
    said, spoken, ask, unit.panel, element("p", { class: "source" }, source));

  let number = 0; // of the draw, from 0
  const strengthsOf = (name) => [...new Set(
    draws.filter((each) => each.transform === name).map((each) => each.strength))];

  const redraw = () => {
    const name = transform.made.value;
    const strengths = strengthsOf(name);
    const chosen = strengths[strength.valueAsNumber];
    const among = draws.filter((each) => each.transform === name && each.strength === chosen);
    number = (number + among.length) % among.length;
    const draw = among[number];

    const which = Number(picture.made.value);
    const tile = which * draws.length + draws.indexOf(draw);
    const x = (tile % sheet.columns) * sheet.side;
    const y = sheet.before + Math.floor(tile / sheet.columns) * sheet.side;
    before.window.setAttribute("viewBox", [which * sheet.before, 0, sheet.before, sheet.before].join(" "));
    after.window.setAttribute("viewBox", [x, y, sheet.side, sheet.side].join(" "));

    const changes = described(draw);
    const drawn = `Draw ${number + 1} of ${among.length}: ` +
      `${changes.length ? changes.join("; ") : "nothing changed"}.`;
    before.drawn.setAttribute("aria-label", `Before: ${pictures[which]}`);
    after.drawn.setAttribute("aria-label", `After. ${drawn}`);
    said.textContent = drawn;
    ask.textContent = TRANSFORMS[name].ask;
    const words = TRANSFORMS[name].strength?.(chosen) ?? "";
    strengthWords.textContent = words;
    strength.setAttribute("aria-valuetext", words);

    const size = fields[layer.made.value];
    unit.panel.hidden = !size;
    for (const { outlines } of [before, after]) {
      for (const each of outlines) each.style.display = size ? "" : "none";
    }
    if (!size) return;
    const place = [unit.values.row, unit.values.column];
    const [rows, columns] = place.map((each) => fieldOf(each, size));
    // A matrix counts from the middle of the first pixel, a drawing from its corner.
    const corners = [
      [columns.first, rows.first], [columns.last + 1, rows.first],
      [columns.last + 1, rows.last + 1], [columns.first, rows.last + 1],
    ];
    const sources = corners.map((corner) =>
      pullBack(corner.map((each) => each - 0.5), draw.matrix).map((each) => each + 0.5));
    for (const each of after.outlines) each.setAttribute("points", corners.join(" "));
    for (const each of before.outlines) each.setAttribute("points", sources.join(" "));
    const { seen, hidden } = covered(place, size, sheet.side, draw.hole);
    said.textContent += ` Unit (${place.join(", ")}) of ${layer.made.value} sees ${written(seen)} ` +
      `pixels of the new picture` + (draw.hole
        ? `; the hole hides ${written(hidden)} of them, ${Math.round((100 * hidden) / seen)} %.` : ".");
  };

  /** Another transform: its strengths, from the weakest on. */
  const choose = () => {
    const count = strengthsOf(transform.made.value).length;
    strength.max = count - 1;
    strength.value = 0;
    strengthLabel.hidden = count === 1;
    number = 0;
    redraw();
  };
  transform.made.addEventListener("change", choose);
  for (const control of [picture.made, layer.made]) control.addEventListener("change", redraw);
  strength.addEventListener("input", redraw);
  back.addEventListener("click", () => { number -= 1; redraw(); });
  next.addEventListener("click", () => { number += 1; redraw(); });
  after.drawn.addEventListener("click", (event) => {
    const point = new DOMPoint(event.clientX, event.clientY).matrixTransform(after.drawn.getScreenCTM().inverse());
    const pixel = (length) => Math.min(Math.max(Math.floor(length), 0), sheet.side - 1);
    unit.set("row", pixel(point.y));
    unit.set("column", pixel(point.x));
    redraw();
  });
  transform.made.value = given.transform ?? PARAMETERS.transform.start;
  layer.made.value = given.layer ?? PARAMETERS.layer.start;
  choose();
});
