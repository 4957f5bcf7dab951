// The same as network.js, some ten times as fast: the steps are laid out in one memory, and kernel.ts
// runs them as WebAssembly. Where a browser has none, network.js does.

/** The kernel; null where a browser lacks what it needs, or where a page's rules forbid it. */
const compiled = () => {
  try {
    const bytes = bytesOf(KERNEL);
    return WebAssembly.validate(bytes) ? new WebAssembly.Module(bytes) : null;
  } catch {
    return null;
  }
};

/**
 * The steps, with the sum and the ReLU behind a convolution as parts of it if nothing else reads
 * what is between: each with the maps that it reads, the `other` added (or null), and the number
 * of the map that it `gives`.
 */
const fused = (steps) => {
  const readers = steps.map(() => []); // of what each step gives
  steps.forEach((step, n) => step.sources.forEach((map) => { if (map) readers[map - 1].push(n); }));
  const taken = new Set();
  /** Take the step behind map `gives` along, if it is the only reader and of this kind. */
  const take = (gives, kind, fits = () => true) => {
    const [next, ...more] = readers[gives - 1];
    if (next === undefined || more.length || steps[next].kind !== kind || !fits(steps[next])) return null;
    taken.add(next);
    return next;
  };
  return steps.flatMap((step, n) => {
    if (taken.has(n)) return [];
    let gives = n + 1;
    let [source, other = null] = step.sources;
    if (step.kind === "convolution") {
      const rest = ({ sources }) => sources.find((map) => map !== gives);
      const sum = take(gives, "add", (add) => rest(add) <= n); // the other map is there by then
      if (sum !== null) [other, gives] = [rest(steps[sum]), sum + 1];
    }
    const relu = step.kind === "relu" ? null : take(gives, "relu");
    if (relu !== null) gives = relu + 1;
    return [{ ...step, source, other, relu: step.kind === "relu" || relu !== null, gives }];
  });
};

const eights = (count) => Math.ceil(count / 8) * 8;

/** A convolution's weights as kernel.ts reads them: tap by tap, all channels of a tap together. */
const tapByTap = ({ weights, biases, shape: [channels, , high, wide] }) => {
  const laid = new Float32Array(high * wide * eights(channels));
  weights.forEach((weight, n) => {
    const [channel, tap] = [Math.floor(n / (high * wide)), n % (high * wide)];
    laid[tap * eights(channels) + channel] = weight;
  });
  return { weights: laid, biases };
};

/** The same of any convolution: eight outputs of a group at a time, the weights of each side by side. */
const eightByEight = ({ weights, biases, groups, shape: [outputs, perGroup, high, wide] }) => {
  const [length, share] = [perGroup * high * wide, outputs / groups];
  const laid = new Float32Array(groups * eights(share) * length);
  const laidBiases = new Float32Array(groups * eights(share));
  for (let output = 0; output < outputs; output++) {
    const slot = Math.floor(output / share) * eights(share) + (output % share);
    const [eight, place] = [Math.floor(slot / 8), slot % 8];
    laidBiases[slot] = biases[output];
    for (let n = 0; n < length; n++) laid[(eight * length + n) * 8 + place] = weights[output * length + n];
  }
  return { weights: laid, biases: laidBiases };
};

/** Room in a memory that grows: addresses in bytes, each with eight numbers to spare behind it. */
const roomIn = (memory) => {
  let end = 16; // 0 would be none
  const room = (count) => {
    const start = end;
    end = 16 * Math.ceil((start + 4 * (count + 8)) / 16);
    const missing = end - memory.buffer.byteLength;
    if (missing > 0) memory.grow(Math.ceil(missing / 65536));
    return start;
  };
  const put = (Numbers, values) => {
    const start = room(values.length);
    new Numbers(memory.buffer, start, values.length).set(values);
    return start;
  };
  return { room, put };
};

/** A network for pictures of one size, laid out for the kernel: what runs it on a picture's numbers. */
const laidOut = (kernel, { steps }, height, width) => {
  const { memory, convolve, depthwise, pass } = new WebAssembly.Instance(kernel).exports;
  const { room, put } = roomIn(memory);
  const found = [{ height, width, channels: 3, start: room(height * width * 3) }];
  const calls = fused(steps).map((step) => {
    const map = found[step.source];
    const other = step.other === null ? 0 : found[step.other].start;
    if (step.kind !== "convolution") {
      const count = map.height * map.width * map.channels;
      const out = room(count);
      found[step.gives] = { ...map, start: out };
      const entry = put(Uint32Array, [map.start, other, out, Number(step.relu)]);
      return () => pass(entry, count);
    }
    const [outputs, perGroup, high, wide] = step.shape;
    const [rows, columns] = [inputs(map.height, 0, step), inputs(map.width, 1, step)];
    const out = room(rows.length * columns.length * outputs);
    found[step.gives] = { height: rows.length, width: columns.length, channels: outputs, start: out };
    const alone = perGroup === 1 && outputs === step.groups;
    const { weights, biases } = alone ? tapByTap(step) : eightByEight(step);
    const entry = put(Uint32Array, [ // in the order of `Step`
      map.start, other, out, Number(step.relu),
      put(Float32Array, weights), put(Float32Array, biases),
      put(Int32Array, rows.flat()), put(Int32Array, columns.flat()),
      room(map.channels), room(4 * (high * wide + 8) + 4 * perGroup * high * wide),
      map.width, map.channels, high, wide, rows.length, columns.length, step.groups, outputs / step.groups,
    ]);
    return () => (alone ? depthwise : convolve)(entry);
  });
  const maps = found.map(({ start, ...size }) =>
    ({ ...size, data: new Float32Array(memory.buffer, start, size.height * size.width * size.channels) }));
  return (data) => {
    maps[0].data.set(data);
    calls.forEach((call) => call());
    return maps;
  };
};

/**
 * `predict` of a network that was `read`, as fast as this browser can: (pixels, height, width) to
 * `{ maps, probabilities, found }`. What stands in `found` is overwritten by the next picture.
 */
const predictor = (network, kernel = compiled()) => {
  if (!kernel) return (pixels, height, width) => predict(network, pixels, height, width);
  let run = null;
  let size = null;
  return (pixels, height, width) => {
    if (size !== `${height}x${width}`) run = laidOut(kernel, network, height, width);
    size = `${height}x${width}`;
    return answered(run(normalised(network, pixels)));
  };
};
