// A network for the challenge, layer by layer: what each costs, what a unit in the middle sees of
// the picture, and what the referee says.
// After convolution.js.

const PARAMETERS = {
  "preset": { "start": "draft", "among": ["draft", "leap", "early"] }
};

// The challenge: fewer parameters than these, for pictures of so many pixels a side and ten classes.
const LIMIT = 200000;
const SIDE = 32;
const CLASSES = 10;

// Of each kind of layer what can be chosen, as it is when the layer is new.
const KINDS = {
  dense: { kernel: 3, stride: 1, dilation: 1, channels: 32 },
  depthwise: { kernel: 3, stride: 1, dilation: 1 },
  pointwise: { channels: 32 },
  separable: { kernel: 3, stride: 1, dilation: 1, channels: 32 },
  pooling: { kernel: 2, stride: 2 },
};

const make = (kind, chosen = {}) => ({ kind, ...KINDS[kind], ...chosen });

const PRESETS = {
  draft: {
    name: "A short view",
    layers: [
      make("dense", { channels: 24 }),
      make("dense", { channels: 48, stride: 2 }),
      make("dense", { channels: 48, dilation: 2 }),
      make("separable", { channels: 96 }),
    ],
  },
  leap: {
    name: "One great leap",
    layers: [
      make("pointwise", { channels: 32 }),
      make("dense", { channels: 32, dilation: 16 }),
      make("separable", { channels: 64 }),
    ],
  },
  early: {
    name: "Small maps early",
    layers: [
      make("dense", { channels: 32 }),
      make("dense", { channels: 64, stride: 2 }),
      make("separable", { channels: 96 }),
      make("dense", { channels: 96, dilation: 2 }),
      make("pooling"),
      make("separable", { channels: 160, dilation: 2 }),
      make("separable", { channels: 160 }),
    ],
  },
};

// ------------------------------------------------------------------------------- arithmetic

/** How a layer's window moves; its padding keeps the size of the map, but for the stride. */
const geometry = ({ kernel = 1, stride = 1, dilation = 1 }) =>
  ({ kernel, stride, dilation, padding: Math.floor((dilation * (kernel - 1)) / 2) });

/** The convolutions that a layer is made of, when so many channels come in. */
const convolutions = (layer, incoming) => {
  const window = geometry(layer);
  const mix = { ...geometry({}), incoming, outgoing: layer.channels, groups: 1 };
  const apart = { ...window, incoming, outgoing: incoming, groups: incoming };
  const parts = {
    dense: [{ ...mix, ...window }],
    depthwise: [apart],
    pointwise: [mix],
    separable: [apart, mix],
    pooling: [],
  };
  return parts[layer.kind];
};

/** What follows the global mean: a 1x1 convolution to the scores. */
const head = (incoming) => convolutions(make("pointwise", { channels: CLASSES }), incoming)[0];

const weights = ({ kernel, incoming, outgoing, groups }) => kernel ** 2 * outgoing * (incoming / groups);

/** Batch norm and ReLU stand behind each convolution that mixes channels, and behind no other. */
const isNormed = ({ groups }) => groups === 1;

/**
 * The picture, then what each layer makes of the map before it: units per axis and channels; size
 * and jump of its units' fields; what it costs. Where nothing of a map is left, it has 0 units.
 */
const follow = (layers) => {
  const maps = [{ units: SIDE, channels: 3, size: 1, jump: 1, parameters: 0, multiplyAdds: 0 }];
  for (const each of layers) {
    const { units, channels, size, jump } = maps.at(-1);
    const window = geometry(each);
    const parts = convolutions(each, channels);
    const left = units && Math.max(outputSize(units, window), 0);
    maps.push({
      units: left,
      channels: parts.at(-1)?.outgoing ?? channels,
      size: size + (reach(window) - 1) * jump,
      jump: jump * window.stride,
      parameters: sum(parts.map((part) => weights(part) + (isNormed(part) ? 2 * part.outgoing : 0))),
      multiplyAdds: left ** 2 * sum(parts.map(weights)),
    });
  }
  return maps;
};

/** Parameters and multiply-adds of all layers and of the head. */
const totals = (maps) => {
  const last = weights(head(maps.at(-1).channels));
  return {
    parameters: last + sum(maps.map(({ parameters }) => parameters)),
    multiplyAdds: last + sum(maps.map(({ multiplyAdds }) => multiplyAdds)),
  };
};

/** The pixels that a unit of map `number` sees along one axis, in order. */
const seen = (layers, maps, number, unit) => {
  let places = [unit];
  for (let place = number; place > 0; place -= 1) {
    const read = places.flatMap((output) => taps(output, geometry(layers[place - 1])));
    places = [...new Set(read)].filter((input) => input >= 0 && input < maps[place - 1].units);
  }
  return places.sort((one, other) => one - other);
};

/** What the unit in the middle sees, along one axis; of the two in the middle, the one that sees more. */
const middle = (layers, maps, number) => {
  const { units } = maps[number];
  const views = [Math.floor((units - 1) / 2), Math.floor(units / 2)].map(
    (unit) => seen(layers, maps, number, unit));
  return views[1].length > views[0].length ? views[1] : views[0];
};

/** Pixels of the smallest square around a view, as it is within the picture. */
const around = (view) => (view.at(-1) - view[0] + 1) ** 2;

/** The last map of more than one unit, which the global mean averages. */
const lastMap = (maps) => maps.findLastIndex(({ units }) => units > 1);

/** A sentence for each rule of the challenge that is broken, as `challenge.violations` says it. */
const violations = (layers) => {
  const maps = follow(layers);
  const { parameters } = totals(maps);
  const broken = [];
  if (parameters >= LIMIT) {
    broken.push(`It has ${written(parameters)} parameters, ${written(parameters - LIMIT + 1)} too ` +
      "many; frozen ones count too.");
  }
  const gone = maps.findIndex(({ units }) => units === 0);
  if (gone > 0) {
    const { kernel } = layers[gone - 1];
    return [...broken, "It does not give (N, 10) scores for (N, 3, H, W) images: layer " +
      `${gone} takes ${kernel} by ${kernel} places together, and the map before it has one.`];
  }
  const parts = layers.flatMap((each, place) => convolutions(each, maps[place].channels));
  parts.push(head(maps.at(-1).channels));
  if (!parts.some(({ kernel, dilation }) => kernel > 1 && dilation > 1)) {
    broken.push("No dilated convolution changes its scores: it needs one with a kernel above 1 and " +
      "a dilation above 1.");
  }
  const isDepthwise = ({ kernel, incoming, groups }) => groups === incoming && kernel > 1;
  const isPointwise = ({ kernel, groups }) => groups === 1 && kernel === 1;
  if (!parts.some((part, place) => isDepthwise(part) && parts[place + 1] && isPointwise(parts[place + 1]))) {
    broken.push("No depthwise separable convolution changes its scores: it needs one with as many " +
      "groups as channels and a kernel above 1, and a 1x1 convolution right after it.");
  }
  const last = lastMap(maps);
  const pixels = middle(layers, maps, last).length ** 2;
  if (pixels < SIDE ** 2) {
    const { units } = maps[last];
    broken.push(`A unit in the middle of its last map (${units}x${units} units) sees ` +
      `${written(pixels)} of the ${written(SIDE ** 2)} pixels. Add layers, dilate them or give ` +
      "them a stride; `receptive_field.analyze` shows what each one adds.");
  }
  return broken;
};

/** The network in PyTorch, to be run as it stands. */
const code = (layers) => {
  const options = (named, defaults) => Object.entries(named).filter(
    ([name, value]) => value !== defaults[name]).map(([name, value]) => `, ${name}=${value}`).join("");
  const convolution = ({ incoming, outgoing, kernel, ...more }) => {
    const { stride, padding, dilation, groups } = more;
    const defaults = { stride: 1, padding: 0, dilation: 1, groups: 1 };
    return `nn.Conv2d(${incoming}, ${outgoing}, ${kernel}` +
      `${options({ stride, padding, dilation, groups }, defaults)}, bias=False),`;
  };
  const maps = follow(layers);
  const lines = layers.flatMap((each, place) => {
    if (each.kind === "pooling") {
      const { kernel, stride, padding } = geometry(each);
      return [`nn.MaxPool2d(${kernel}${options({ stride, padding }, { stride: kernel, padding: 0 })}),`];
    }
    return convolutions(each, maps[place].channels).flatMap((part) => [
      convolution(part),
      ...(isNormed(part) ? [`nn.BatchNorm2d(${part.outgoing}),`, "nn.ReLU(),"] : []),
    ]);
  });
  lines.push("nn.AdaptiveAvgPool2d(1),", convolution(head(maps.at(-1).channels)), "nn.Flatten(),");
  return `from torch import nn\n\nnetwork = nn.Sequential(\n${lines.map((line) => `    ${line}\n`).join("")})\n`;
};

// ---------------------------------------------------------------------------------- drawing

const CHOICES = { kernel: [1, 3, 5], stride: [1, 2, 4] };
const POOLED = { kernel: [2, 3], stride: [1, 2] };
const RANGES = { dilation: { least: 1, most: 16 }, channels: { least: 8, most: 256 } };
const MOST = 24; // layers

// What can be added: a name, a kind, and what about it is chosen already.
const NEW = [
  ["dense", "dense", {}],
  ["dilated", "dense", { dilation: 2 }],
  ["strided", "dense", { stride: 2 }],
  ["depthwise", "depthwise", {}],
  ["pointwise (1 × 1)", "pointwise", {}],
  ["separable", "separable", {}],
  ["pooling", "pooling", {}],
];

/** Squares of the picture, of which those are filled that a view reaches, in `rows` of them. */
const squares = (view, rows, name) => {
  const path = (columns, lines) => lines.flatMap((y) => columns.map(
    (x) => `M${x} ${y}h.9v.9h-.9z`)).join("");
  const all = Array.from({ length: SIDE }, (_, place) => place);
  return svg("svg", { role: "img", "aria-label": name, viewBox: `0 0 ${SIDE} ${rows.length}` },
    svg("path", { class: "pixels", d: path(all, rows.map((_, y) => y)) }),
    svg("path", { class: "seen", d: path(view, rows.flatMap((read, y) => (read ? [y] : []))) }));
};

figure("designer", `${PARTS}
ol { list-style: none; margin: 0.6rem 0; padding: 0; }
li.layer { border-top: 1px solid var(--line); padding: 0.5rem 0; }
.edit { align-items: end; display: flex; flex-wrap: wrap; gap: 0.3rem 0.6rem; }
.edit label { display: grid; font-size: 0.875rem; line-height: 1.3; }
.edit .moves { display: flex; gap: 0.3rem; margin-left: auto; }
.edit .number { align-self: end; font-weight: 600; line-height: 2rem; min-width: 1.2rem; }
.edit select, .edit input, .edit button { font-size: 0.9375rem; min-height: 2rem; padding: 0.1rem 0.3rem; }
.edit button { min-width: 2rem; }
input[type="number"] { background: none; border: 1px solid currentcolor; border-radius: 0.25rem; width: 4.2rem; }
button:disabled { cursor: not-allowed; opacity: 0.45; }
.facts { display: flex; flex-wrap: wrap; font-size: 0.9375rem; font-variant-numeric: tabular-nums; gap: 0 1.2rem; margin: 0.3rem 0; padding: 0; }
.facts span { overflow-wrap: anywhere; }
.strip svg { display: block; max-width: 30rem; width: 100%; }
.pixels { fill: currentcolor; fill-opacity: 0.13; }
.seen { fill: var(--accent); }
.square { flex: 0 1 11rem; min-width: 8rem; }
.square svg { display: block; width: 100%; }
.square figcaption { font-size: 0.875rem; }
figure { margin: 0; }
.verdict { flex: 1 1 16rem; min-width: 0; }
dl { margin: 0 0 0.8rem; }
dd { margin: 0 0 0.5rem; font-variant-numeric: tabular-nums; }
.bar { max-width: 22rem; }
.bar.over div { background: var(--second); }
.said { border-left: 0.25rem solid var(--accent); margin: 0.6rem 0; padding: 0.1rem 0 0.1rem 0.8rem; }
.said.broken { border-color: var(--second); }
.said ul { margin: 0.3rem 0 0; padding-left: 1.2rem; }
pre { background: var(--faint); font-size: 0.875rem; margin: 0.3rem 0; overflow-x: auto; padding: 0.6rem 0.8rem; }
summary { cursor: pointer; padding: 0.3rem 0; }
.short {
  background: var(--pst-color-background, var(--jp-layout-color0, Canvas)); border-top: 1px solid var(--line);
  bottom: 0; margin: 0; padding: 0.4rem 0; position: sticky;
}
select, input, button { scroll-margin-bottom: 5rem; }
@media print { .short { display: none; } .bar, .strip, .square { print-color-adjust: exact; } .add { display: none; } pre { overflow: visible; white-space: pre-wrap; } }
`, (root, given) => {
  let layers = [];

  const preset = element("select", {}, ...Object.entries(PRESETS).map(
    ([value, { name }]) => element("option", { value }, name)));
  const list = element("ol", { "aria-label": "Layers" });
  const adding = element("select", {}, ...NEW.map(([name], value) => element("option", { value }, name)));
  const add = element("button", { type: "button" }, "Add it");
  const counted = element("dl");
  const said = element("div", { class: "said" });
  // While the layers fill the screen, the sum of it stays in sight below them.
  const short = element("p", { class: "short", "aria-hidden": "true" });
  const field = element("figure", { class: "square" });
  const { spoken, say, hush } = voice();
  const copy = element("button", { type: "button" }, "Copy the code");
  const copied = element("span", { role: "status" });
  const text = element("code");
  root.append(
    element("div", { class: "row" }, element("label", {}, "Begin with ", preset)),
    element("div", {},
      list,
      element("div", { class: "row add" }, element("label", {}, "A new layer ", adding), add),
      element("p", {}, "Then the mean over all places, and a 1\u00a0×\u00a01 convolution to ten scores. Batch norm and ReLU " +
        "follow each convolution that mixes channels; there are no biases."),
      short),
    element("div", { class: "row" }, field, element("div", { class: "verdict" }, counted, said)),
    spoken,
    element("details", {}, element("summary", {}, "The network in PyTorch"),
      element("pre", { tabindex: 0, role: "region", "aria-label": "The network in PyTorch" }, text)),
    element("div", { class: "row" }, copy, copied));

  // ------------------------------------------------------------------------ a layer's line

  /** A choice among a few numbers, or a number within limits. */
  const control = (each, number, name) => {
    const among = (each.kind === "pooling" ? POOLED : CHOICES)[name];
    const shared = { "aria-label": `${name} of layer ${number}` };
    const { least, most } = RANGES[name] ?? {};
    const input = among
      ? element("select", shared, ...among.map((value) => element("option", {}, String(value))))
      : element("input", { ...shared, type: "number", min: least, max: most, step: name === "channels" ? 8 : 1 });
    input.value = each[name];
    input.addEventListener("change", () => {
      const value = Math.round(Number(input.value)) || each[name];
      each[name] = among ? value : Math.min(Math.max(value, least), most);
      input.value = each[name];
      redraw();
    });
    return element("label", {}, name, input);
  };

  /** A button of layer `number`, found again by what it does. */
  const button = (number, does, sign, disabled, pressed) => {
    const made = element("button", {
      type: "button", "aria-label": `${does} layer ${number}`, title: does, "data-does": does,
    }, sign);
    made.disabled = disabled;
    made.addEventListener("click", pressed);
    return made;
  };

  /** Put the keyboard on a button of the layer at `place`, or beside it if that is of no use. */
  const focus = (place, does) => {
    const moves = [...list.children[place].querySelectorAll("[data-does]")];
    const wanted = moves.find((each) => each.dataset.does === does);
    (wanted.disabled ? moves.find((each) => !each.disabled) ?? add : wanted).focus();
  };

  const move = (place, to, does) => {
    if (to < 0 || to >= layers.length) return;
    layers.splice(to, 0, ...layers.splice(place, 1));
    edit();
    focus(to, does);
  };

  const line = (each, place) => {
    const number = place + 1;
    const kind = element("select", { "aria-label": `kind of layer ${number}` },
      ...Object.keys(KINDS).map((name) => element("option", {}, name)));
    kind.value = each.kind;
    kind.addEventListener("change", () => {
      const channels = each.channels ?? KINDS.dense.channels;
      layers[place] = make(kind.value, "channels" in KINDS[kind.value] ? { channels } : {});
      edit();
      root.querySelector(`[aria-label="kind of layer ${number}"]`).focus();
    });
    const moves = element("div", { class: "moves" },
      button(number, "Move up", "↑", place === 0, () => move(place, place - 1, "Move up")),
      button(number, "Move down", "↓", number === layers.length, () => move(place, place + 1, "Move down")),
      button(number, "Remove", "✕", layers.length === 1, () => {
        layers.splice(place, 1);
        edit();
        focus(Math.min(place, layers.length - 1), "Remove");
      }));
    moves.addEventListener("keydown", (event) => {
      const by = { ArrowUp: -1, ArrowDown: 1 }[event.key];
      if (!by || event.altKey || event.ctrlKey || event.metaKey || event.shiftKey) return;
      event.preventDefault();
      move(place, place + by, by < 0 ? "Move up" : "Move down");
    });
    return element("li", { class: "layer" },
      element("div", { class: "edit", role: "group", "aria-label": `Layer ${number}` },
        element("span", { class: "number", "aria-hidden": "true" }, String(number)),
        element("label", {}, "layer", kind),
        ...Object.keys(KINDS[each.kind]).map((name) => control(each, number, name)), moves),
      element("p", { class: "facts" }), element("div", { class: "strip" }));
  };

  // -------------------------------------------------------------------------- what follows

  /** What a unit in the middle of map `number` sees, in words. */
  const viewed = (map, view) => {
    const [pixels, box] = [view.length ** 2, around(view)];
    return `field ${written(map.size)} × ${written(map.size)}` +
      (pixels < box ? `, with holes: ${written(pixels)} of ${written(box)} pixels` : "");
  };

  const facts = (maps) => {
    for (const [place, shown] of [...list.children].entries()) {
      const map = maps[place + 1];
      const words = [`${written(map.parameters)} parameters`];
      const strip = shown.querySelector(".strip");
      strip.replaceChildren();
      if (map.units === 0) {
        words.unshift("no map is left");
      } else {
        const view = middle(layers, maps, place + 1);
        words.unshift(`map ${map.units} × ${map.units}, ${map.channels} channels`);
        words.push(`${written(map.multiplyAdds)} multiply-adds`, viewed(map, view));
        strip.append(squares(view, [true], `Along a row, a unit in the middle sees ${view.length} ` +
          `of ${view.at(-1) - view[0] + 1} pixels`));
      }
      shown.querySelector(".facts").replaceChildren(...words.map((each) => element("span", {}, each)));
    }
  };

  const bar = (share, over) => element("div", { class: over ? "bar over" : "bar" },
    element("div", { style: `width: ${Math.min(100 * share, 100)}%` }));

  const redraw = () => {
    const maps = follow(layers);
    const broken = violations(layers);
    const { parameters, multiplyAdds } = totals(maps);
    facts(maps);
    const whole = maps.at(-1).units > 0;
    const view = whole ? middle(layers, maps, lastMap(maps)) : []; // along each axis
    const pixels = view.length ** 2;
    counted.replaceChildren(
      element("dt", {}, "Parameters"),
      element("dd", {}, element("strong", {}, written(parameters)), `, of ${written(LIMIT - 1)} at most`,
        bar(parameters / LIMIT, parameters >= LIMIT)),
      element("dt", {}, "Seen by a unit in the middle of the last map"),
      element("dd", {}, element("strong", {}, whole ? written(pixels) : "–"), ` of ${written(SIDE ** 2)} pixels`,
        bar(pixels / SIDE ** 2, pixels < SIDE ** 2)),
      element("dt", {}, "Multiply-adds for one picture"),
      element("dd", {}, element("strong", {}, whole ? written(multiplyAdds) : "–"), ", without a limit"));
    const rows = Array.from({ length: SIDE }, (_, y) => view.includes(y));
    field.replaceChildren(
      squares(view, rows, whole ? `It sees ${written(pixels)} pixels of the picture` : "No map is left"),
      element("figcaption", {}, "What a unit in the middle of the last map sees"));
    const words = broken.length === 0
      ? "The referee finds nothing wrong: this network takes part."
      : `The referee says no, for ${broken.length === 1 ? "one reason" : `${broken.length} reasons`}:`;
    said.classList.toggle("broken", broken.length > 0);
    said.replaceChildren(element("p", {}, element("span", { "aria-hidden": "true" }, broken.length ? "✗ " : "✓ "), words));
    if (broken.length) said.append(element("ul", {}, ...broken.map((each) => element("li", {}, ...withCode(each)))));
    short.textContent = `${broken.length ? "✗" : "✓"} ${written(parameters)} of ${written(LIMIT - 1)} parameters, ` +
      `${written(pixels)} of ${written(SIDE ** 2)} pixels seen`;
    text.textContent = code(layers);
    copied.textContent = "";
    say(`${written(parameters)} parameters. ${[words, ...broken].join(" ").replaceAll("`", "")}`);
  };

  /** All lines anew, after a layer came, went, moved or became another kind. */
  const edit = () => {
    list.replaceChildren(...layers.map(line));
    add.disabled = layers.length === MOST;
    redraw();
  };

  const start = () => {
    layers = PRESETS[preset.value].layers.map((each) => ({ ...each }));
    edit();
  };
  preset.addEventListener("change", start);
  add.addEventListener("click", () => {
    const [, kind, chosen] = NEW[adding.value];
    const { channels } = follow(layers).at(-1);
    const same = "channels" in KINDS[kind] ? { channels: Math.max(channels, RANGES.channels.least) } : {};
    layers.push(make(kind, { ...same, ...chosen }));
    edit();
    root.querySelector(`[aria-label="kind of layer ${layers.length}"]`).focus();
  });
  copy.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(text.textContent);
      copied.textContent = "Copied.";
    } catch { // a page that may not write there: select it, so that a key does
      root.querySelector("details").open = true;
      getSelection().selectAllChildren(text);
      copied.textContent = "It is selected below: copy it with your keyboard.";
    }
  });
  preset.value = given.preset ?? PARAMETERS.preset.start;
  start();
  hush(); // nobody has changed anything yet
});
