// A picture is turned: every new pixel asks where it came from, and takes what it finds around there.
// After convolution.js.
// After animation.js.

const PARAMETERS = {
  "degrees": { "start": 30, "least": -90, "most": 90 },
  "interpolation": { "among": ["linear", "nearest"] },
  "border": { "among": ["repeated", "mirrored", "grey"] },
  "picture": {},
  "source": {}
};

/** What lies there unless a picture is given: an F, which looks different however it is turned. */
const LETTER = [
  ".........", "..#####..", "..#......", "..#......", "..####...", "..#......", "..#......", "..#......",
  ".........",
].map((row) => row.replaceAll(".", "ddd").replaceAll("#", "246"));
const GREY = [8, 8, 8]; // a colour is 0 to 15, as in the digits of a picture

/** Where `[x, y]`, counted from the middle, y down, was before a counter-clockwise turn. */
const origin = ([x, y], degrees) => {
  const [cos, sin] = [Math.cos, Math.sin].map((each) => each((degrees * Math.PI) / 180));
  return [cos * x - sin * y, sin * x + cos * y];
};

/** The pixel of an axis that answers for `index`, which may lie outside; null if none does. */
const inside = (index, side, border) => {
  if (index >= 0 && index < side) return index;
  if (border === "grey") return null;
  const end = side - 1;
  if (border === "repeated") return index < 0 ? 0 : end;
  const past = Math.abs(index) % (2 * end); // mirrored, without the edge twice
  return past > end ? 2 * end - past : past;
};

/** The pixels `[x, y]` that a place is mixed from, and their shares; counted from the corner. */
const around = ([x, y], interpolation) => {
  if (interpolation === "nearest") return [{ at: [Math.round(x), Math.round(y)], share: 1 }];
  const [left, top] = [Math.floor(x), Math.floor(y)];
  return [0, 1].flatMap((down) => [0, 1].map((across) => ({
    at: [left + across, top + down],
    share: Math.abs(1 - across - (x - left)) * Math.abs(1 - down - (y - top)),
  })));
};

/** What a new pixel asks for and gets: its place of origin, the pixels around, their mean colour. */
const pulled = (pixels, at, { degrees, interpolation, border }) => {
  const middle = (pixels.length - 1) / 2;
  const from = origin(at.map((index) => index - middle), degrees);
  const parts = around(from.map((along) => along + middle), interpolation).map(({ at, share }) => {
    const [x, y] = at.map((index) => inside(index, pixels.length, border));
    return { at, share, taken: [x, y], colour: pixels[y]?.[x] ?? GREY };
  });
  const colour = GREY.map((_, n) => parts.reduce((sum, part) => sum + part.share * part.colour[n], 0));
  return { from, parts, colour };
};

// ---------------------------------------------------------------------------------- drawing

const ROOM = 4; // pixels around the old picture, where a corner may come from

const css = (colour) => `rgb(${colour.map((part) => (17 * part).toFixed(0)).join(" ")})`;

/** 2.7321 as "2.73", -3 as "−3". */
const short = (number, digits = 2) => written(Number(number.toFixed(digits)) + 0);
const pair = (place) => `(${place.map((each) => short(each)).join(", ")})`;

/** A picture as squares, and the same squares by row. */
const board = (side, room, name) => {
  const squares = Array.from({ length: side }, (_, y) => Array.from({ length: side }, (_, x) =>
    svg("rect", { x, y, width: 1, height: 1 })));
  const drawn = svg("svg", {
    role: "img", "aria-label": name, "shape-rendering": "crispEdges",
    viewBox: `${-room} ${-room} ${side + 2 * room} ${side + 2 * room}`,
  }, ...squares.flat());
  return { drawn, squares };
};

figure("inverse-map", `${PARTS}${MOTION}
.boards > div { flex: 1 1 8rem; max-width: 20rem; }
.choices > .sliders { flex: 1 1 12rem; max-width: 16rem; }
svg { display: block; height: auto; overflow: visible; width: 100%; }
.new svg { cursor: crosshair; }
rect.unasked { fill: var(--faint); }
.mark { fill: none; shape-rendering: auto; stroke: var(--second); stroke-width: 0.25; }
.frame { fill: none; shape-rendering: auto; stroke: currentcolor; stroke-dasharray: 0.4 0.3; stroke-width: 0.12; }
.place { fill: var(--second); shape-rendering: auto; stroke: Canvas; stroke-width: 0.12; }
.choices > label { align-items: center; display: flex; flex-wrap: wrap; gap: 0.5rem; }
.parts { display: flex; flex-wrap: wrap; gap: 0.3rem 1.2rem; list-style: none; margin: 0.6rem 0; padding: 0; }
.swatch { border: 1px solid currentcolor; display: inline-block; height: 1.1em; margin-right: 0.4rem; vertical-align: -0.2em; width: 1.1em; }
.parts, .said { font-variant-numeric: tabular-nums; }
.parts { min-height: 1.5em; }
.said { min-height: 3em; }
.source { font-size: 0.875rem; }
@media (forced-colors: active) { .swatch, rect { forced-color-adjust: none; } }
`, (root, given) => {
  const pixels = (given.picture ?? LETTER).map((row) => row.match(/.../g).map((pixel) =>
    Array.from(pixel, (digit) => parseInt(digit, 16))));
  const side = pixels.length;
  const middle = (side - 1) / 2;
  const { panel, values } = sliders({ degrees: PARAMETERS.degrees }, given, () => redraw());
  const choice = (name) => {
    const select = element("select", {}, ...PARAMETERS[name].among.map((each) => element("option", {}, each)));
    select.value = values[name] = given[name] ?? PARAMETERS[name].among[0];
    select.addEventListener("change", () => {
      values[name] = select.value;
      redraw();
    });
    return element("label", {}, name === "border" ? "outside" : name, select);
  };
  const fresh = board(side, 0, "The new picture");
  const old = board(side, ROOM, "The old picture, with the place that the new pixel comes from");
  old.squares.forEach((row, y) => row.forEach((each, x) => { each.style.fill = css(pixels[y][x]); }));
  const [asking, marks] = [svg("g"), svg("g")];
  fresh.drawn.append(asking);
  old.drawn.append(marks);
  const { said, spoken } = readAloud();
  const parts = element("ul", { class: "parts" });

  let reached = side * side; // how many new pixels have asked
  let asked = [middle + 2, middle - 2].map(Math.floor); // x and y

  const player = animation(root.host, spoken, () => side * side, (frame, playing) => {
    asked = [frame % side, Math.floor(frame / side)];
    reached = playing ? frame + 1 : Math.max(reached, frame + 1);
    redraw();
  });
  player.frame = side * side - 1;
  fresh.squares.forEach((row, y) => row.forEach((each, x) => each.addEventListener("click", () => {
    player.stop();
    [player.frame, asked, reached] = [y * side + x, [x, y], side * side];
    redraw();
  })));

  const redraw = () => {
    fresh.squares.forEach((row, y) => row.forEach((each, x) => {
      const known = y * side + x < reached;
      each.classList.toggle("unasked", !known);
      each.style.fill = known ? css(pulled(pixels, [x, y], values).colour) : "";
    }));
    const { from, parts: found } = pulled(pixels, asked, values);
    const outline = ([x, y]) => svg("rect", { class: "mark", x, y, width: 1, height: 1 });
    const [x, y] = from.map((along) => along + middle + 0.5); // its centre, in the drawing
    const corners = [[-1, -1], [1, -1], [1, 1], [-1, 1]].map((corner) => origin(
      corner.map((each) => (each * side) / 2), values.degrees).map((along) => along + side / 2));
    asking.replaceChildren(outline(asked));
    marks.replaceChildren(
      svg("polygon", { class: "frame", points: corners.map((corner) => corner.join(",")).join(" ") }),
      ...found.filter(({ taken }) => !taken.includes(null)).map(({ taken }) => outline(taken)),
      svg("circle", { class: "place", cx: x, cy: y, r: 0.35 }));
    const outside = found.filter(({ at, taken }) => String(at) !== String(taken)).length;
    const lacking = { repeated: "the edge is repeated", mirrored: "a mirror stands at the edge", grey: "all is grey" };
    said.textContent = `The new pixel ${pair(asked.map((index) => index - middle))} comes from ` +
      `${pair(from)}, counted from the middle.` + (outside
        ? ` ${outside === found.length ? "That is" : `Of the ${found.length} around there, ${outside} lie`} outside: there ${lacking[values.border]}.`
        : "");
    parts.replaceChildren(...found.map(({ at, share, colour }) => element("li", {},
      element("span", { class: "swatch", style: `background: ${css(colour)}` }),
      `${pair(at.map((index) => index - middle))} counts ${short(share, 3)}`)));
  };

  root.append(
    element("div", { class: "row choices" }, panel, choice("interpolation"), choice("border")),
    element("div", { class: "row boards" },
      element("div", { class: "new" }, element("p", { class: "title" }, "New"), fresh.drawn),
      element("div", {}, element("p", { class: "title" }, "Old"), old.drawn)),
    said, spoken, parts, player.controls);
  if (given.source) root.append(element("p", { class: "source" }, given.source));
  redraw();
});
