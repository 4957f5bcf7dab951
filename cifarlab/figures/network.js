// A trained network without PyTorch: the steps that `course export` wrote, run on one picture.
// A map is { height, width, channels, data }; its data lies as (height, width, channels).

/** The bytes that base64 `text` stands for. */
const bytesOf = (text) => {
  const letters = atob(text);
  const bytes = new Uint8Array(letters.length); // a loop: no call for each letter
  for (let n = 0; n < bytes.length; n++) bytes[n] = letters.charCodeAt(n);
  return bytes;
};

/** Numbers in single precision. */
const singles = (text) => new Float32Array(bytesOf(text).buffer);

/** Whole numbers of 8 bits, with their sign. */
const wholes = (text) => new Int8Array(bytesOf(text).buffer);

/** A network as it was exported, its texts turned into numbers, each weight times its scale. */
const read = (network) => ({ ...network, steps: network.steps.map((step) => {
  if (step.kind !== "convolution") return step;
  const [weights, scales] = [new Float32Array(wholes(step.weights)), singles(step.scales)];
  const length = weights.length / scales.length;
  for (let n = 0; n < weights.length; n++) weights[n] *= scales[Math.floor(n / length)];
  return { ...step, weights, biases: singles(step.biases) };
}) });

/** Which pixel stands at `place`, outside the `size` real ones: -1 is zero. */
const PADDING = {
  zeros: () => -1,
  replicate: (place, size) => (place < 0 ? 0 : size - 1),
  reflect: (place, size) => (place < 0 ? -place : 2 * (size - 1) - place),
  circular: (place, size) => (place + size) % size,
};

/** Along one axis: for each output in turn, the input behind each of its taps. */
const inputs = (size, axis, { shape, stride, padding, dilation, padding_mode }) => {
  const [kernel, before, after] = [shape[2 + axis], padding[2 * axis], padding[2 * axis + 1]];
  const reach = dilation[axis] * (kernel - 1) + 1;
  const outputs = Math.floor((size + before + after - reach) / stride[axis]) + 1;
  return Array.from({ length: outputs }, (_, output) => Array.from({ length: kernel }, (_, tap) => {
    const place = output * stride[axis] - before + tap * dilation[axis];
    return place >= 0 && place < size ? place : PADDING[padding_mode](place, size);
  }));
};

/** What an output at `(y, x)` reads, group by group, tap by tap, into `patch`. */
const look = ({ width, channels, data }, { groups, shape }, rows, columns, patch) => {
  const perGroup = shape[1];
  let to = 0;
  for (let group = 0; group < groups; group++) {
    for (const row of rows) {
      for (const column of columns) {
        let from = (row * width + column) * channels + group * perGroup;
        const padding = row < 0 || column < 0;
        for (let n = 0; n < perGroup; n++) patch[to++] = padding ? 0 : data[from++];
      }
    }
  }
};

/**
 * Weighted sums of the `length` numbers from `start` on of four patches, to four places of `out`,
 * for outputs `first` to `last`. Eight sums at a time: to read a number takes longer than to
 * multiply it, and so each that is read is used two or four times.
 */
const weigh = ([a, b, c, d], start, length, [to, to2, to3, to4], weights, biases, first, last, out) => {
  for (let output = first; output <= last; output += 2) {
    const next = Math.min(output + 1, last); // an odd last one is summed twice
    let [i, j] = [output * length, next * length];
    let [a1, b1, c1, d1, a2, b2, c2, d2] = [0, 0, 0, 0, 0, 0, 0, 0];
    for (let n = start; n < start + length; n++) {
      const v = weights[i++];
      const w = weights[j++];
      const x = a[n];
      const y = b[n];
      const z = c[n];
      const q = d[n];
      a1 += v * x; b1 += v * y; c1 += v * z; d1 += v * q;
      a2 += w * x; b2 += w * y; c2 += w * z; d2 += w * q;
    }
    const [bias, bias2] = [biases[output], biases[next]];
    out[to + output] = a1 + bias; out[to + next] = a2 + bias2;
    out[to2 + output] = b1 + bias; out[to2 + next] = b2 + bias2;
    out[to3 + output] = c1 + bias; out[to3 + next] = c2 + bias2;
    out[to4 + output] = d1 + bias; out[to4 + next] = d2 + bias2;
  }
};

/** Any convolution: write down what each output reads, then weigh it. */
const convolve = (map, step) => {
  const [channels, perGroup, high, wide] = step.shape;
  const [rows, columns] = [inputs(map.height, 0, step), inputs(map.width, 1, step)];
  const length = perGroup * high * wide;
  const [height, width] = [rows.length, columns.length];
  const data = new Float32Array(height * width * channels);
  const patches = Array.from({ length: 4 }, () => new Float32Array(step.groups * length));
  const share = channels / step.groups;
  for (let place = 0; place < height * width; place += 4) {
    const places = [0, 1, 2, 3].map((n) => Math.min(place + n, height * width - 1));
    places.forEach((each, n) =>
      look(map, step, rows[Math.floor(each / width)], columns[each % width], patches[n]));
    const to = places.map((each) => each * channels);
    for (let group = 0; group < step.groups; group++) {
      weigh(patches, group * length, length, to, step.weights, step.biases,
        group * share, (group + 1) * share - 1, data);
    }
  }
  return { height, width, channels, data };
};

/** What each kind of step makes of the maps that it reads. */
const STEPS = {
  convolution: ([map], step) => convolve(map, step),
  relu: ([map]) => ({ ...map, data: map.data.map((value) => (value > 0 ? value : 0)) }),
  add: ([map, other]) => ({ ...map, data: map.data.map((value, n) => value + other.data[n]) }),
};

/** Numbers that are all above 0 and add up to 1, the greatest score first among them. */
const softmax = (scores) => {
  const top = Math.max(...scores);
  const shares = scores.map((score) => Math.exp(score - top));
  const sum = shares.reduce((before, share) => before + share, 0);
  return shares.map((share) => share / sum);
};

/** A picture's numbers as the network learned them: `pixels` are 0 to 255, as (height, width, 3). */
const normalised = ({ mean, std }, pixels) =>
  Float32Array.from(pixels, (value, n) => (value / 255 - mean[n % 3]) / std[n % 3]);

/**
 * The answer to a picture, of all maps that were `found` on the way: the last one holds the
 * class-activation `maps`, and the `probabilities` are the softmax of their means.
 */
const answered = (found) => {
  const last = found.at(-1);
  const maps = { ...last, data: last.data.slice() };
  const places = maps.height * maps.width;
  const scores = Array.from({ length: maps.channels }, () => 0);
  maps.data.forEach((value, n) => { scores[n % maps.channels] += value / places; });
  return { maps, probabilities: softmax(scores), found };
};

/** What a network that was `read` makes of a picture: see `answered`. */
const predict = (network, pixels, height, width) => {
  const found = [{ height, width, channels: 3, data: normalised(network, pixels) }];
  for (const step of network.steps) {
    found.push(STEPS[step.kind](step.sources.map((number) => found[number]), step));
  }
  return answered(found);
};
