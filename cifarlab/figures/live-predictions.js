// A trained network at work on a picture of the reader's own, which never leaves the page.
// After network.js.
// After picture.js.

const PARAMETERS = {
  "network": { "file": "live-network.json" },
  "samples": { "file": "live-samples.webp" }
};

const SIDE = 32; // pixels of every picture that the networks of the course learned from

/** 0.1234 as "12 %". */
const percent = (share) => `${Math.round(100 * share)} %`;

/** What network this is, and how far it has come. */
const described = ({ record, network, parameters, multiply_adds, epochs, planned, scored_on, accuracy }) => {
  const so = epochs < planned ? `after ${epochs} of ${planned} epochs` : `after ${epochs} epochs`;
  const right = accuracy === null ? "not scored yet" : `right on ${accuracy.toFixed(2)} % of the ${scored_on} images`;
  return `The network is ${record}: ${network}, ${parameters.toLocaleString("en-GB")} parameters, ` +
    `${(multiply_adds / 1e6).toFixed(1)} million multiply-adds a picture; ${so} ${right}.`;
};

/** How often the network was right when it was as sure as this. */
const experience = ({ counts, accuracy }, share, scoredOn) => {
  const bin = Math.min(counts.length, Math.max(1, Math.ceil(share * counts.length))) - 1;
  const [from, to] = [bin, bin + 1].map((edge) => Math.round((100 * edge) / counts.length));
  if (!counts[bin]) return `On no ${scoredOn} image was it ${from} to ${to} % sure.`;
  return `Of the ${counts[bin].toLocaleString("en-GB")} ${scoredOn} images on which it was ${from} to ` +
    `${to} % sure, it was right on ${percent(accuracy[bin])}.`;
};

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
  NotAllowedError: "The camera was not allowed. Allow it beside the page's address",
  NotFoundError: "There is no camera",
};

/** A canvas of pixels, which grow as squares. */
const board = (label) => element("canvas", { role: "img", "aria-label": label });

/** Paint `pixels`, three colours each, or four with an opacity. */
const paint = (canvas, width, height, pixels) => {
  [canvas.width, canvas.height] = [width, height];
  const colours = pixels.length / (width * height);
  const data = Uint8ClampedArray.from({ length: 4 * width * height }, (_, n) =>
    n % 4 < colours ? pixels[Math.floor(n / 4) * colours + (n % 4)] : 255);
  canvas.getContext("2d").putImageData(new ImageData(data, width, height), 0, 0);
};

figure("live-predictions", `
p { margin: 0.6rem 0; }
.note { font-size: 0.9375rem; }
.samples { display: flex; flex-wrap: wrap; gap: 0.4rem; }
.samples button { height: 3.5rem; padding: 0.2rem; width: 3.5rem; }
.samples canvas { display: block; height: 100%; width: 100%; }
.samples [aria-pressed="true"] { background: var(--accent); border-color: var(--accent); }
.ways { align-items: center; display: flex; flex-wrap: wrap; gap: 0.6rem 1rem; margin: 0.8rem 0; }
.ways label { min-width: 0; }
input[type="file"] { max-width: 100%; min-width: 0; }
.camera { border: 1px solid var(--line); border-radius: 0.25rem; padding: 0.6rem; }
.camera[hidden] { display: none; }
video { background: var(--faint); display: block; max-height: 18rem; max-width: 100%; }
.answer { align-items: start; display: grid; gap: 1rem 1.5rem; grid-template-columns: repeat(auto-fit, minmax(15rem, 1fr)); margin: 1rem 0; }
.pictures { align-items: end; display: grid; gap: 0.8rem; grid-template-columns: 1fr 1fr; }
.pictures p { font-size: 0.9375rem; line-height: 1.3; margin: 0 0 0.3rem; }
.over { position: relative; }
.over canvas { display: block; height: auto; image-rendering: pixelated; width: 100%; }
.over canvas + canvas { inset: 0; position: absolute; height: 100%; }
.over .grey { filter: grayscale(1); }
fieldset { border: 0; margin: 0; min-width: 0; padding: 0; }
legend { font-size: 0.9375rem; padding: 0; }
fieldset label { align-items: center; cursor: pointer; display: grid; gap: 0.5rem; grid-template-columns: auto 6rem 1fr 4rem; min-height: 1.6rem; }
fieldset input { margin: 0; }
.bar { background: var(--faint); height: 0.7rem; }
.bar div { background: var(--accent); height: 100%; }
fieldset b { font-variant-numeric: tabular-nums; font-weight: inherit; text-align: right; }
.guess { font-weight: 600; }
:host([dropping]) { outline: 3px dashed var(--second); outline-offset: 0.5rem; }
@media print { .ways, .samples, .camera { display: none; } .bar, .bar div { print-color-adjust: exact; } }
`, (root, given) => {
  const network = read(given.network);
  const { classes, about } = network;
  let found = null; // what the network makes of the picture
  let turn = 0; // a picture that takes long to read must not overtake a later one

  const said = element("p", { role: "status" });
  const sure = element("p", { class: "note" });
  const tiles = element("div", { class: "samples", role: "group", "aria-label": "Samples" });
  const file = element("input", { type: "file", accept: "image/*" });
  const open = element("button", { type: "button" }, "Use the camera");
  const random = element("button", { type: "button" }, "Noise");
  const looked = board(`the picture as the network sees it, ${SIDE} by ${SIDE} pixels`);
  const below = element("canvas", { class: "grey", "aria-hidden": "true" });
  const heat = board("");
  const whose = element("p");
  const bars = element("fieldset", {}, element("legend", {}, "Probability; choose whose map to show"));
  const rows = classes.map((name, label) => {
    const input = element("input", { type: "radio", name: "class", value: label });
    const bar = element("div");
    const number = element("b");
    const row = element("label", {}, input, element("span", {}, name),
      element("span", { class: "bar", "aria-hidden": "true" }, bar), number);
    input.addEventListener("change", () => explain(label));
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

  /** Show what the network makes of `pixels`; `known` says what they are, where one knows. */
  const answer = (pixels, known) => {
    const started = performance.now();
    found = predict(network, pixels, SIDE, SIDE);
    const took = performance.now() - started;
    const { probabilities } = found;
    const guess = probabilities.indexOf(Math.max(...probabilities));
    paint(looked, SIDE, SIDE, pixels);
    paint(below, SIDE, SIDE, pixels);
    rows.forEach(({ row, bar, number }, label) => {
      bar.style.width = `${100 * probabilities[label]}%`;
      number.textContent = `${(100 * probabilities[label]).toFixed(1)} %`;
      row.classList.toggle("guess", label === guess);
    });
    explain(guess);
    said.textContent = `Among the ten it says: ${classes[guess]}, ${percent(probabilities[guess])}. ${known} ` +
      `(${Math.max(1, Math.round(took))} ms)`;
    sure.textContent = `How sure should it be? ${experience(network.calibration, probabilities[guess], about.scored_on)} ` +
      "That holds for pictures like those of CIFAR-10. The ten probabilities always add up to 1, so a " +
      "thing that is none of the ten gets a guess too, and often a sure one.";
  };

  /** Press one of the samples' buttons, or none. */
  const press = (pressed) => {
    for (const tile of tiles.children) tile.setAttribute("aria-pressed", String(tile === pressed));
  };

  const whole = new Image();
  whole.addEventListener("load", () => {
    const size = whole.height;
    classes.forEach((name, label) => {
      const canvas = element("canvas", { width: size, height: size });
      canvas.getContext("2d").drawImage(whole, -label * size, 0);
      const tile = element("button", { type: "button", "aria-label": `sample: ${name}`, "aria-pressed": "false" }, canvas);
      tile.addEventListener("click", () => {
        turn += 1;
        press(tile);
        answer(seen(canvas, size, size), `CIFAR-10 calls it ${name}.`);
      });
      tiles.append(tile);
    });
    if (!found) tiles.firstChild.click();
  });
  whole.src = given.samples;

  random.addEventListener("click", () => {
    turn += 1;
    press(null);
    answer(noise(SIDE * SIDE * 3), "Yet it is noise: none of the ten.");
  });

  const take = async (picture) => {
    const mine = ++turn;
    try {
      const pixels = await seenOfFile(picture);
      if (mine !== turn) return;
      press(null);
      answer(pixels, "What it is, you know best.");
    } catch {
      if (mine === turn) {
        said.textContent = `“${picture.name}” is no picture that this browser can read. Give it a PNG, JPEG or WebP file.`;
      }
    }
  };
  file.addEventListener("click", () => { file.value = ""; }); // the same file again is a choice too
  file.addEventListener("change", () => { if (file.files.length) take(file.files[0]); });
  const { host } = root;
  host.addEventListener("dragover", (event) => {
    event.preventDefault();
    host.setAttribute("dropping", "");
  });
  host.addEventListener("dragleave", () => host.removeAttribute("dropping"));
  host.addEventListener("drop", (event) => {
    event.preventDefault();
    host.removeAttribute("dropping");
    if (event.dataTransfer.files.length) take(event.dataTransfer.files[0]);
    else said.textContent = "What you dropped is no file. Save the picture first, then drop its file.";
  });

  const video = element("video", { "aria-label": "what the camera sees" });
  [video.muted, video.playsInline] = [true, true];
  const shoot = element("button", { type: "button" }, "Take the picture");
  const stop = element("button", { type: "button" }, "Stop the camera");
  const camera = element("div", { class: "camera", hidden: "" },
    element("p", {}, "Point it at a thing. None of the ten classes is a person, so of a face it can only say something wrong."),
    video, element("div", { class: "ways" }, shoot, stop));
  const close = () => {
    for (const track of video.srcObject?.getTracks() ?? []) track.stop();
    video.srcObject = null;
    camera.hidden = true;
    open.disabled = false;
    open.focus();
  };
  open.addEventListener("click", async () => {
    let stream;
    open.disabled = true; // a second stream would take the first one's place, and none could stop that
    shoot.disabled = true; // until there is something to take
    try {
      if (!navigator.mediaDevices) throw { message: "browsers allow it on https pages only" };
      stream = await navigator.mediaDevices.getUserMedia({ video: { facingMode: "environment" } });
      video.srcObject = stream;
      camera.hidden = false;
      await video.play();
      shoot.disabled = false;
      shoot.focus();
    } catch (error) {
      if (stream && video.srcObject !== stream) return; // stopped by the reader, while it started
      close();
      const why = REFUSED[error.name] ?? `The camera does not start (${error.message})`;
      said.textContent = `${why}, or upload a picture instead.`;
    }
  });
  shoot.addEventListener("click", () => {
    turn += 1;
    press(null);
    answer(seen(video, video.videoWidth, video.videoHeight), "What it is, you know best.");
  });
  stop.addEventListener("click", close);

  root.append(
    element("p", { class: "note" }, described(about)),
    tiles,
    element("div", { class: "ways" }, element("label", {}, "Your picture (or drop it here): ", file), open, random),
    camera,
    said,
    element("div", { class: "answer" },
      element("div", { class: "pictures" },
        element("div", {}, element("p", {}, `What it sees: ${SIDE}×${SIDE} pixels`), element("div", { class: "over" }, looked)),
        element("div", {}, whose, element("div", { class: "over" }, below, heat))),
      bars),
    sure);
});
