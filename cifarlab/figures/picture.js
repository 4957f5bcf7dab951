// What a network sees of a picture: `live.as_seen` in JavaScript, with the same filter as Pillow.

/** The largest square in the middle: where it starts, and its side, in pixels. */
const square = (width, height) => {
  const side = Math.min(width, height);
  return { left: (width - side) / 2, top: (height - side) / 2, side };
};

/** Keys' cubic curve, from 1 at 0 to 0 at 2; what lies further away does not count. */
const cubic = (distance) => {
  const x = Math.abs(distance);
  if (x < 1) return 1.5 * x ** 3 - 2.5 * x ** 2 + 1;
  return x < 2 ? -0.5 * x ** 3 + 2.5 * x ** 2 - 4 * x + 2 : 0;
};

/**
 * For each of `outputs` new pixels along one axis: the `first` of the `size` old ones that it mixes,
 * and their `weights`. The new ones share what lies from `start` on, `length` long.
 */
const mixtures = (size, start, length, outputs) => {
  const step = length / outputs;
  const width = Math.max(step, 1); // shrinking, the curve grows as wide as what it stands for
  return Array.from({ length: outputs }, (_, output) => {
    const centre = start + (output + 0.5) * step;
    const first = Math.max(0, Math.trunc(centre - 2 * width + 0.5));
    const end = Math.min(size, Math.trunc(centre + 2 * width + 0.5));
    const weights = Array.from({ length: end - first }, (_, n) =>
      cubic((first + n + 0.5 - centre) / width));
    const sum = weights.reduce((before, weight) => before + weight, 0);
    return { first, weights: weights.map((weight) => weight / sum) };
  });
};

/** Mix numbers of `from`, the first at `start`, one every `step`; a colour is 0 to 255, and whole. */
const mix = (from, start, step, weights) => {
  let sum = 0;
  for (let n = 0; n < weights.length; n++) sum += weights[n] * from[start + n * step];
  return Math.min(255, Math.max(0, Math.round(sum)));
};

/**
 * The square in the middle of a picture, `side` x `side` pixels of red, green and blue.
 * `rowsOf(top, count)` gives `count` rows as red, green, blue and opacity, so that a photograph
 * need not lie in memory as a whole: first each row is shrunk, then each column.
 */
const asSeen = (width, height, rowsOf, side = 32) => {
  const middle = square(width, height);
  const across = mixtures(width, middle.left, middle.side, side);
  const down = mixtures(height, middle.top, middle.side, side);
  const top = down[0].first;
  const bottom = down.at(-1).first + down.at(-1).weights.length;
  const narrow = new Uint8Array((bottom - top) * side * 3);
  for (let y = top; y < bottom; y += 64) {
    const count = Math.min(64, bottom - y);
    const rows = rowsOf(y, count);
    for (let n = 0; n < count * side * 3; n++) {
      const [row, column, colour] = [Math.floor(n / (3 * side)), Math.floor(n / 3) % side, n % 3];
      const { first, weights } = across[column];
      narrow[(y - top) * side * 3 + n] = mix(rows, 4 * (row * width + first) + colour, 4, weights);
    }
  }
  return Uint8Array.from({ length: side * side * 3 }, (_, n) => {
    const { first, weights } = down[Math.floor(n / (3 * side))];
    return mix(narrow, (first - top) * side * 3 + (n % (3 * side)), side * 3, weights);
  });
};

/** What `asSeen` leaves of anything that a canvas can draw: transparent parts turn white. */
const seen = (drawable, width, height) => {
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [width, 64];
  const context = canvas.getContext("2d", { willReadFrequently: true });
  return asSeen(width, height, (top, count) => {
    context.fillStyle = "white";
    context.fillRect(0, 0, width, 64);
    context.drawImage(drawable, 0, -top);
    return context.getImageData(0, 0, width, count).data;
  });
};

/** The same of a video, which cannot wait: the browser itself shrinks it first. */
const seenSmall = (drawable, width, height, side = 128) => {
  const middle = square(width, height);
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [side, side];
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.imageSmoothingQuality = "high";
  context.drawImage(drawable, middle.left, middle.top, middle.side, middle.side, 0, 0, side, side);
  const { data } = context.getImageData(0, 0, side, side);
  return asSeen(side, side, (top, count) => data.subarray(4 * top * side, 4 * (top + count) * side));
};

const ENOUGH = 1024; // pixels of the shorter side: what has more is read smaller

/** Width and height of a picture file, which is not decoded for it, and an element that holds it. */
const measured = async (file) => {
  const address = URL.createObjectURL(file);
  const holder = new Image();
  await new Promise((resolve, reject) => {
    [holder.onload, holder.onerror] = [resolve, reject];
    holder.src = address;
  }).finally(() => URL.revokeObjectURL(address));
  return { holder, width: holder.naturalWidth, height: holder.naturalHeight };
};

/**
 * What `asSeen` leaves of a picture file, as `pixels`; colours are taken as they are written, as
 * Pillow does. A large photograph is decoded smaller, or the page would stand still for seconds:
 * then its `size` is told. Rejects if it is none that this browser can read.
 */
const readPicture = async (file) => {
  const { holder, width, height } = await measured(file);
  if (file.type === "image/svg+xml") return { pixels: seen(holder, width, height), size: null };
  const large = Math.min(width, height) > ENOUGH;
  const shorter = width < height ? "resizeWidth" : "resizeHeight";
  const smaller = large ? { [shorter]: ENOUGH, resizeQuality: "high" } : {};
  const picture = await createImageBitmap(file, { colorSpaceConversion: "none", ...smaller });
  const pixels = seen(picture, picture.width, picture.height);
  picture.close();
  return { pixels, size: large ? { width, height } : null };
};

/** Paint `pixels`, three colours each, or four with an opacity. */
const paint = (canvas, width, height, pixels) => {
  if (canvas.width !== width) canvas.width = width;
  if (canvas.height !== height) canvas.height = height;
  const image = new ImageData(width, height);
  const colours = pixels.length / (width * height);
  for (let n = 0; n < 4 * width * height; n++) {
    image.data[n] = n % 4 < colours ? pixels[(n >> 2) * colours + (n % 4)] : 255;
  }
  canvas.getContext("2d").putImageData(image, 0, 0);
};
