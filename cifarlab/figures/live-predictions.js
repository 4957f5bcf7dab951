// A trained network at work on a picture of the reader's own, which never leaves the page.
// After network.js.
// After kernel-binary.js.
// After kernel.js.
// After picture.js.
// After inside.js.

const PARAMETERS = {
  "networks": {},
  "samples": { "file": "live-samples.webp" }
};

const SIDE = 32; // pixels of every picture that the networks of the course learned from

/** 0.1234 as "12.3 %"; only all is 100. */
const inTenths = (share) =>
  `${(Math.min(Math.round(1000 * share), share < 1 ? 999 : 1000) / 10).toFixed(1)}\u00a0%`;

/** 0.1234 as "12 %"; close to all, where a tenth counts, 0.9965 as "99.7 %"; only all is 100. */
const percent = (share) =>
  share >= 0.9905 && share < 1 ? inTenths(share) : `${Math.round(100 * share)}\u00a0%`;

/** A whole number with its thousands told apart. */
const grouped = (number) => number.toLocaleString("en-GB");

/** What a network does with how little, in one line. */
const boast = ({ accuracy, parameters }) =>
  `${accuracy === null ? "A network" : `${accuracy.toFixed(1)}\u00a0%`} with ${grouped(parameters)} numbers, ` +
  "in this page, nothing sent.";

/** How often the network was right with its weights as they are here, per cent; null if not known. */
const rightHere = ({ counts, accuracy }) => {
  const all = counts.reduce((before, count) => before + count, 0);
  const right = counts.reduce((before, count, bin) => before + count * (accuracy[bin] ?? 0), 0);
  return all ? (100 * right) / all : null;
};

/** What network this is, and how far it has come. */
const described = ({ about, calibration }) => {
  const { record, parameters, multiply_adds, epochs, planned, scored_on, accuracy } = about;
  const so = epochs < planned ? `after ${epochs} of ${planned} epochs` : `after ${epochs} epochs`;
  const here = rightHere(calibration);
  const right = accuracy === null ? "not scored yet" : `right on ${accuracy.toFixed(2)}\u00a0% of the ${scored_on} images` +
    (here === null ? "" : ` (${here.toFixed(2)}\u00a0% with its weights rounded to 8 bits, as they are here)`);
  return `The network is ${record}: ${grouped(parameters)} parameters, ` +
    `${(multiply_adds / 1e6).toFixed(1)} million multiply-adds a picture; ${so} ${right}.`;
};

/** In which bin of a calibration a share lies. */
const binOf = ({ counts }, share) => Math.min(counts.length, Math.max(1, Math.ceil(share * counts.length))) - 1;

/** How often the network was right when it was as sure as this. */
const experience = ({ counts, accuracy }, share, scoredOn) => {
  const bin = binOf({ counts }, share);
  const [from, to] = [bin, bin + 1].map((edge) => Math.round((100 * edge) / counts.length));
  if (!counts[bin]) return `On no ${scoredOn} image was it ${from} to ${to}\u00a0% sure.`;
  return `Of the ${grouped(counts[bin])} ${scoredOn} images on which it was ${from} to ` +
    `${to}\u00a0% sure, it was right on ${percent(accuracy[bin])}.`;
};

/** `pixels` with a grey square of `side` pixels on them: the mean colour, which a network takes for 0. */
const covered = (pixels, { row, column, side }, mean) => pixels.map((value, n) => {
  const [y, x] = [Math.floor(n / (3 * SIDE)), Math.floor(n / 3) % SIDE];
  return y >= row && y < row + side && x >= column && x < column + side ? Math.round(255 * mean[n % 3]) : value;
});

/** One class's map out of all: `{ height, width, values }`. */
const mapOf = ({ height, width, channels, data }, label) =>
  ({ height, width, values: data.filter((_, n) => n % channels === label) });

/** Where a map is greatest, in words: "upper left", "middle". */
const strongest = ({ height, width, values }) => {
  const place = values.indexOf(Math.max(...values));
  const third = (n, size) => Math.floor((3 * (n + 0.5)) / size);
  const row = ["upper", "", "lower"][third(Math.floor(place / width), height)];
  const column = ["left", "", "right"][third(place % width, width)];
  return [row, column].filter(Boolean).join(" ") || "middle";
};

/** Noise, the same each time: what no camera sees. */
const noise = (count) => {
  let state = 1;
  return Uint8Array.from({ length: count }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0; // Numerical Recipes' constants
    return state >>> 24;
  });
};

// ---------------------------------------------------------------------------------- drawing

const REFUSED = {
  NotAllowedError: "The camera was not allowed. Allow it beside the page’s address, or choose a picture instead.",
  NotFoundError: "No camera was found. Choose a picture instead.",
};
const OWN = "What it is, you know best.";
const PATCH = 8; // pixels of the grey square

/** Do these one after the other, and let the page answer its reader between them. */
const inTurn = ([next, ...more]) => setTimeout(() => {
  next();
  if (more.length) inTurn(more);
});

/** A canvas of pixels, which grow as squares. */
const board = (attributes) => element("canvas", { width: SIDE, height: SIDE, ...attributes });

figure("live-predictions", `${INSIDE}
p { margin: 0.6rem 0; }
.lead { font-size: 1.25rem; font-weight: 600; line-height: 1.3; }
.note { font-size: 0.9375rem; }
/* Room for what comes a moment later: the samples, and the first answer. */
.samples { display: flex; flex-wrap: wrap; gap: 0.4rem; min-height: 3.5rem; }
.verdict { min-height: 1.5em; }
[role="status"] { min-height: 1.5em; }
@media (max-width: 42rem) { .samples { min-height: 7.4rem; } }
@media (max-width: 33rem) { [role="status"] { min-height: 3em; } }
.samples button { border-width: 2px; height: 3.5rem; padding: 0.15rem; width: 3.5rem; }
.samples canvas { display: block; height: 100%; width: 100%; }
.samples [aria-pressed="true"] { background: var(--second); border-color: var(--second); border-width: 4px; }
.ways { align-items: center; display: flex; flex-wrap: wrap; gap: 0.6rem 1rem; margin: 0.8rem 0; }
.drop { border: 2px dashed var(--line); border-radius: 0.25rem; min-width: 0; padding: 0.4rem 0.6rem; }
.drop span { display: block; font-size: 0.9375rem; }
input[type="file"] { max-width: 100%; min-width: 0; }
.answer { display: grid; gap: 1rem 1.5rem; grid-template-columns: repeat(auto-fit, minmax(min(100%, 17rem), 1fr)); margin: 0.8rem 0; }
.answer > * { min-width: 0; }
.verdict { font-size: 1.25rem; font-weight: 600; margin: 0 0 0.3rem; }
.verdict small { font-weight: 400; opacity: 0.8; }
.stage { aspect-ratio: 1; background: var(--faint); max-width: 22rem; overflow: hidden; position: relative; }
.stage > canvas, .stage > video { height: 100%; image-rendering: pixelated; inset: 0; object-fit: cover; position: absolute; width: 100%; }
.stage > [hidden] { display: none; }
.stage.mapped > .picture { filter: grayscale(1); }
.patch { background: rgb(125 123 114); border: 2px solid white; border-radius: 0; cursor: move; min-height: 0; outline: 1px solid black; padding: 0; position: absolute; touch-action: none; }
.patch:hover { background: rgb(125 123 114); }
.patch:focus-visible { outline: 4px solid var(--second); outline-offset: 0; }
.patch[hidden] { display: none; }
.stage + .ways { font-size: 0.9375rem; gap: 0.2rem 1rem; margin: 0.4rem 0; }
.stage + .ways label { align-items: center; display: flex; gap: 0.4rem; min-height: 1.6rem; }
fieldset { border: 0; margin: 0; min-width: 0; padding: 0; }
legend { font-size: 0.9375rem; padding: 0; }
fieldset label { align-items: center; cursor: pointer; display: grid; gap: 0.5rem; grid-template-columns: auto 6rem 1fr 4rem; min-height: 1.6rem; }
fieldset input, td input { margin: 0; }
.bar { height: 0.7rem; margin-top: 0; }
fieldset b { font-variant-numeric: tabular-nums; font-weight: inherit; text-align: right; }
.guess { font-weight: 600; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-size: 0.9375rem; width: 100%; }
th, td { border-top: 1px solid var(--line); font-weight: inherit; padding: 0.25rem 0.5rem 0.25rem 0; text-align: left; }
td label { cursor: pointer; display: flex; gap: 0.4rem; align-items: center; }
tr.chosen { font-weight: 600; }
:host([dropping]) { outline: 3px dashed var(--second); outline-offset: 0.5rem; }
@media (forced-colors: active) { .samples [aria-pressed="true"] { border-color: Highlight; } .patch { forced-color-adjust: none; } }
@media print { .ways, .samples, video { display: none; } .bar, .bar div { print-color-adjust: exact; } }
`, (root, given) => {
  const networks = given.networks.map((each) => ({ ...each, ask: null }));
  const { classes } = networks[0];
  let chosen = networks[0];
  let shown = null; // { pixels, known, moving }: the picture, and whether it is one of many a second
  let found = null; // what the network makes of it
  let turn = 0; // a picture that takes long to read must not overtake a later one

  const kernel = compiled(); // once, for all networks
  /** Read a network's weights and lay them out, when it is first asked. */
  const prepare = (network) => {
    if (network.ask) return;
    network.ask = predictor(read(network), kernel);
    if (kernel) network.ask(new Uint8Array(3 * SIDE * SIDE), SIDE, SIDE);
  };
  /** The answer of a network. */
  const ask = (network, pixels) => {
    prepare(network);
    return network.ask(pixels, SIDE, SIDE);
  };

  const lead = element("p", { class: "lead" });
  const what = element("p", { class: "note" });
  const said = element("p", { role: "status", "aria-live": "off" }); // until the reader acts
  const sure = element("p", { class: "note" });
  const tiles = element("div", { class: "samples", role: "group", "aria-label": "Samples" });
  const file = element("input", { type: "file", accept: "image/*" });
  const open = element("button", { type: "button" }, "Use the camera");
  const shoot = element("button", { type: "button", hidden: "" }, "Take the picture");
  const stop = element("button", { type: "button", hidden: "" }, "Stop the camera");
  const random = element("button", { type: "button" }, "Noise");
  // What follows a camera is no live region: it would never stop talking.
  const verdict = element("p", { class: "verdict", "aria-hidden": "true" });
  const looked = board({ class: "picture", role: "img", "aria-label": `the picture as the network sees it, ${SIDE} by ${SIDE} pixels` });
  const video = element("video", { class: "picture", hidden: "", "aria-label": "what the camera sees" });
  [video.muted, video.playsInline] = [true, true];
  const heat = board({ role: "img" });
  const patch = element("button", { class: "patch", type: "button", hidden: "" });
  const stage = element("div", { class: "stage mapped" }, looked, video, heat, patch);
  const mapping = element("input", { type: "checkbox" });
  mapping.checked = true;
  const covering = element("input", { type: "checkbox" });
  const whose = element("p", { class: "note" });
  const bars = element("fieldset", {}, element("legend", {}, "Probability; choose whose map to show"));
  let pinned = null; // the class whose map the reader chose, while a picture moves
  const rows = classes.map((name, label) => {
    const input = element("input", { type: "radio", name: "class", value: label });
    const bar = element("div");
    const number = element("b");
    const row = element("label", {}, input, element("span", {}, name),
      element("span", { class: "bar", "aria-hidden": "true" }, bar), number);
    input.addEventListener("change", () => {
      pinned = label;
      explain(label);
    });
    bars.append(row);
    return { row, input, bar, number };
  });

  /** Show which places speak for a class. */
  const explain = (label) => {
    const map = mapOf(found.maps, label);
    const most = found.maps.data.reduce((before, value) => Math.max(before, Math.abs(value)), 0) || 1;
    const colours = [];
    for (const value of map.values) {
      colours.push(...(value > 0 ? [240, 150, 0] : [0, 110, 190]), (230 * Math.abs(value)) / most);
    }
    paint(heat, map.width, map.height, colours);
    heat.setAttribute("aria-label",
      `class-activation map: what speaks most for ${classes[label]} lies in the ${strongest(map)}`);
    whose.textContent = `What speaks for ${classes[label]} (amber) and against it (blue)`;
    rows[label].input.checked = true;
  };

  let settling = 0;
  /** Say this once nothing has changed for a moment: no voice keeps up with a camera. */
  const settle = (words) => {
    clearTimeout(settling);
    settling = setTimeout(() => { if (said.textContent !== words) said.textContent = words; }, 1500);
  };

  const cover = { row: 12, column: 12, side: PATCH }; // where the grey square is, in the picture's pixels
  const inside = lookInside();
  let last = ""; // the guess that was settled on, of a picture that moves

  /** Ask about the picture that is shown, and show the answer. */
  const answer = () => {
    const { pixels, known, moving } = shown;
    const asked = covering.checked ? covered(pixels, cover, chosen.mean) : pixels;
    prepare(chosen);
    const started = performance.now();
    found = ask(chosen, asked);
    const took = Math.max(1, Math.round(performance.now() - started));
    const { probabilities } = found;
    const guess = probabilities.indexOf(Math.max(...probabilities));
    paint(looked, SIDE, SIDE, pixels);
    rows.forEach(({ row, bar, number }, label) => {
      bar.style.width = `${100 * probabilities[label]}%`;
      number.textContent = inTenths(probabilities[label]);
      row.classList.toggle("guess", label === guess);
    });
    explain(pinned ?? guess);
    const words = `${classes[guess]}, ${percent(probabilities[guess])}`;
    verdict.replaceChildren(words, element("small", {}, ` (${took} ms)`));
    const sentence = `Among the ten it says: ${words}. ${covering.checked ? "A part of it is covered." : known}`;
    if (!moving) {
      clearTimeout(settling);
      said.textContent = sentence;
    } else if (classes[guess] !== last) {
      last = classes[guess];
      settle(sentence);
    }
    sure.textContent = `How sure should it be? ${experience(chosen.calibration, probabilities[guess], chosen.about.scored_on)} ` +
      "That holds for pictures like those of CIFAR-10. The ten probabilities always add up to 1, so a " +
      "thing that is none of the ten gets a guess too, and often a sure one.";
    inside.update(chosen, found.found, asked, moving);
    compare(asked, moving);
  };

  /** Show a picture, and what the network makes of it. */
  const show = (pixels, known, moving = false) => {
    if (!moving) pinned = null;
    shown = { pixels, known, moving };
    answer();
  };

  // ------------------------------------------------------------------ the networks side by side
  const lines = networks.map((network) => {
    const input = element("input", { type: "radio", name: "network", value: network.about.record });
    const [guess, right] = [element("td"), element("td")];
    const { accuracy, parameters, multiply_adds } = network.about;
    const line = element("tr", {},
      element("td", {}, element("label", {}, input, network.about.record)),
      guess, right,
      element("td", {}, accuracy === null ? "" : `${accuracy.toFixed(2)}\u00a0%`),
      element("td", {}, grouped(parameters)),
      element("td", {}, `${(multiply_adds / 1e6).toFixed(1)}\u00a0million`));
    input.addEventListener("change", () => {
      choose(network);
      answer();
    });
    return { network, input, guess, right, line };
  });
  let comparing = 0;
  /** Let all networks answer, one after the other, once the chosen one has; not while it moves. */
  const compare = (pixels, moving) => {
    if (networks.length === 1) return;
    clearTimeout(comparing);
    const next = (left) => {
      const [{ network, guess, right }, ...more] = left;
      const { probabilities } = network === chosen ? found : ask(network, pixels);
      const most = Math.max(...probabilities);
      guess.textContent = `${classes[probabilities.indexOf(most)]}, ${percent(most)}`;
      const share = network.calibration.accuracy[binOf(network.calibration, most)];
      right.textContent = share === null ? "not known" : percent(share);
      if (more.length) comparing = setTimeout(() => next(more), 0);
    };
    for (const { guess, right } of lines) guess.textContent = right.textContent = "…";
    comparing = setTimeout(() => next(lines), moving ? 300 : 0);
  };
  /** Ask this network from now on. */
  const choose = (network) => {
    chosen = network;
    root.host.setAttribute("aria-label", `Live predictions of ${network.about.record}`);
    lead.textContent = boast(network.about);
    what.textContent = described(network);
    for (const { network: each, input, line } of lines) {
      input.checked = each === network;
      line.classList.toggle("chosen", each === network);
    }
  };
  choose(chosen);

  // --------------------------------------------------------------------------- samples and noise
  /** Press one of the samples' buttons, or none. */
  const press = (pressed) => {
    for (const tile of tiles.children) tile.setAttribute("aria-pressed", String(tile === pressed));
  };

  const whole = new Image();
  whole.addEventListener("load", () => {
    const size = whole.height;
    const [first] = classes.map((name, label) => {
      const canvas = element("canvas", { width: size, height: size });
      canvas.getContext("2d", { willReadFrequently: true }).drawImage(whole, -label * size, 0);
      const tile = element("button", { type: "button", "aria-label": `sample: ${name}`, "aria-pressed": "false" }, canvas);
      const bring = () => {
        turn += 1;
        close();
        press(tile);
        show(seen(canvas, size, size), `CIFAR-10 calls it ${name}.`);
      };
      tile.addEventListener("click", bring);
      tiles.append(tile);
      return bring;
    });
    inTurn([
      () => prepare(chosen),
      () => { if (!shown) first(); },
    ]);
  });
  whole.src = given.samples;

  random.addEventListener("click", () => {
    turn += 1;
    close();
    press(null);
    show(noise(SIDE * SIDE * 3), "Yet it is noise: none of the ten.");
  });

  // ---------------------------------------------------------------------------- a picture's file
  const take = async (files) => {
    const mine = ++turn;
    const [picture, ...more] = files;
    clearTimeout(settling);
    said.textContent = `Reading “${picture.name}” …`;
    try {
      const { pixels, size } = await readPicture(picture);
      if (mine !== turn) return;
      close();
      press(null);
      const small = size ? ` It has ${size.width}×${size.height} pixels and was read smaller.` : "";
      show(pixels, OWN + small + (more.length ? " Of several files, this is the first." : ""));
    } catch {
      if (mine === turn) {
        said.textContent = `“${picture.name}” is no picture that this browser can read. Give it a PNG, JPEG or ` +
          "WebP file. Below stands the picture before.";
      }
    }
  };
  file.addEventListener("click", () => { file.value = ""; }); // the same file again is a choice too
  file.addEventListener("change", () => { if (file.files.length) take(file.files); });
  const { host } = root;
  // In the book the whole page takes a file; in a notebook the rest belongs to Jupyter.
  const ground = document.documentElement.dataset.content_root === undefined ? host : document;
  // Nobody asked for the first answer, so no voice reads it out; it reads those to what one does.
  const speak = () => said.removeAttribute("aria-live");
  for (const deed of ["focusin", "click"]) host.addEventListener(deed, speak, true);
  for (const deed of ["drop", "paste"]) ground.addEventListener(deed, speak);
  ground.addEventListener("dragover", (event) => {
    event.preventDefault();
    host.setAttribute("dropping", "");
  });
  ground.addEventListener("dragleave", () => host.removeAttribute("dropping"));
  ground.addEventListener("drop", (event) => {
    event.preventDefault();
    host.removeAttribute("dropping");
    if (event.dataTransfer.files.length) take(event.dataTransfer.files);
    else said.textContent = "What you dropped is no file. Save the picture first, then drop its file.";
  });
  ground.addEventListener("paste", (event) => {
    if (event.clipboardData?.files.length) take(event.clipboardData.files);
  });

  // ---------------------------------------------------------------------------------- the camera
  /** Show the video in place of the picture, or the other way round. */
  const filming = (on) => {
    video.hidden = shoot.hidden = stop.hidden = !on;
    looked.hidden = open.hidden = on;
  };
  const close = () => {
    for (const track of video.srcObject?.getTracks() ?? []) track.stop();
    if (video.srcObject && shown) shown.moving = false;
    video.srcObject = null;
    clearTimeout(settling);
    filming(false);
    open.disabled = false;
  };
  /** Ask about what the camera sees now, and again as soon as the screen can show more. */
  const follow = (stream) => {
    if (video.srcObject !== stream) return;
    if (video.videoWidth && host.isConnected) {
      show(seenSmall(video, video.videoWidth, video.videoHeight), OWN, true);
    }
    requestAnimationFrame(() => follow(stream));
  };
  open.addEventListener("click", async () => {
    let stream;
    open.disabled = true; // a second stream would take the first one's place, and none could stop that
    shoot.disabled = true; // until there is something to take
    const mine = ++turn;
    try {
      if (!navigator.mediaDevices) throw { message: "browsers allow it on https pages only" };
      stream = await navigator.mediaDevices.getUserMedia({ video: { facingMode: "environment" } });
      if (mine !== turn) { // the reader chose something else while the browser asked
        for (const track of stream.getTracks()) track.stop();
        open.disabled = false;
        return;
      }
      video.srcObject = stream;
      filming(true);
      await video.play();
      shoot.disabled = false;
      shoot.focus();
      press(null);
      [last, pinned] = ["", null];
      said.textContent = "The camera runs, and picture and bars follow it. None of the ten is a person, so point it at things.";
      follow(stream);
    } catch (error) {
      if (stream && video.srcObject !== stream) return; // stopped by the reader, while it started
      close();
      open.focus();
      said.textContent = REFUSED[error.name] ?? `The camera does not start (${error.message}). Choose a picture instead.`;
    }
  });
  shoot.addEventListener("click", () => {
    const pixels = seenSmall(video, video.videoWidth, video.videoHeight);
    close();
    open.focus();
    show(pixels, OWN);
  });
  stop.addEventListener("click", () => {
    const saw = shown?.moving; // else it was stopped while it started
    close();
    open.focus();
    if (saw) said.textContent = "The camera is off. Below stands what it saw last.";
  });

  // ------------------------------------------------------------------- the map, the grey square
  mapping.addEventListener("change", () => {
    heat.hidden = !mapping.checked;
    stage.classList.toggle("mapped", mapping.checked);
  });
  /** Put the grey square there, within the picture, and ask again. */
  const move = (row, column) => {
    const most = SIDE - PATCH;
    cover.row = Math.min(most, Math.max(0, Math.round(row)));
    cover.column = Math.min(most, Math.max(0, Math.round(column)));
    const side = `${(100 * PATCH) / SIDE}%`;
    Object.assign(patch.style, {
      height: side, left: `${(100 * cover.column) / SIDE}%`, top: `${(100 * cover.row) / SIDE}%`, width: side,
    });
    patch.setAttribute("aria-label",
      `grey square, row ${cover.row}, column ${cover.column}; the arrow keys move it`);
    if (!shown || video.srcObject) return; // the next picture of the camera has it
    shown.moving = true; // as long as it is dragged
    answer();
    shown.moving = false;
  };
  covering.addEventListener("change", () => {
    patch.hidden = !covering.checked;
    last = "";
    if (covering.checked) move(cover.row, cover.column);
    else if (shown) answer();
  });
  patch.addEventListener("pointerdown", (event) => {
    patch.setPointerCapture(event.pointerId);
    const pixel = stage.getBoundingClientRect().width / SIDE;
    const [fromX, fromY, { row, column }] = [event.clientX, event.clientY, { ...cover }];
    const drag = ({ clientX, clientY }) =>
      move(row + (clientY - fromY) / pixel, column + (clientX - fromX) / pixel);
    patch.addEventListener("pointermove", drag);
    const end = () => patch.removeEventListener("pointermove", drag);
    patch.addEventListener("pointerup", end, { once: true });
    patch.addEventListener("pointercancel", end, { once: true });
  });
  const ARROWS = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] };
  patch.addEventListener("keydown", (event) => {
    if (event.altKey || event.ctrlKey || event.metaKey) return; // the browser's: a page back
    if (!ARROWS[event.key]) return;
    event.preventDefault();
    const [down, right] = ARROWS[event.key];
    move(cover.row + down, cover.column + right);
  });

  host.setAttribute("role", "group");
  root.append(
    lead,
    tiles,
    element("div", { class: "ways" },
      element("label", { class: "drop" }, element("span", {}, "Your picture: drop it, paste it, or "), file),
      open, shoot, stop, random),
    said,
    element("div", { class: "answer" },
      element("div", {}, verdict, stage,
        element("div", { class: "ways" },
          element("label", {}, mapping, "Map over the picture"),
          element("label", {}, covering, "A grey square to drag over it")),
        whose),
      bars),
    sure,
    inside.fold);
  if (networks.length > 1) {
    const title = "The same picture, and what each network says of it";
    root.append(element("p", {}, `${title}; choose whose answer is shown above.`));
    root.append(element("div", { class: "scroll" }, element("table", { "aria-label": title },
      element("thead", {}, element("tr", {}, ...["Network", "It says", "When so sure, right on", "Of all, right on", "Parameters", "Multiply-adds"].map(
        (name) => element("th", { scope: "col" }, name)))),
      element("tbody", {}, ...lines.map(({ line }) => line)))));
  }
  root.append(what);
});
