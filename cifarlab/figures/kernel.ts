// What takes long in network.js, in AssemblyScript: four numbers in one instruction, and nothing of
// a map written twice. `course kernel` compiles this into kernel-binary.js; kernel.js calls it.
//
// All numbers lie in one memory, at addresses in bytes. A map is written as (height, width,
// channels), in single precision, with room for eight numbers more behind it.

/** A step: what kernel.js writes down of it, 32 bits each, in this order. */
@unmanaged
class Step {
  map: usize; // what it reads
  other: usize; // a map that is added to what it gives; 0 is none
  out: usize; // what it gives
  relu: i32; // 1 if what is below 0 becomes 0
  weights: usize;
  biases: usize;
  rows: usize; // (outHeight, high): the row of `map` behind each tap; -1 is padding
  columns: usize; // (outWidth, wide)
  zeros: usize; // as many as `map` has channels: what padding holds
  scratch: usize; // room for the addresses behind the taps, then for four patches
  width: i32; // of `map`
  channels: i32;
  high: i32; // of the kernel
  wide: i32;
  outHeight: i32;
  outWidth: i32;
  groups: i32;
  share: i32; // outputs of a group
}

const BYTES: i32 = 4; // of a number, and of an address

/** Write down the addresses of what an output at `place` reads, tap by tap. */
// @ts-ignore: a decorator of AssemblyScript
@inline
function look(step: Step, place: i32, to: usize): void {
  const rows = step.rows + <usize>(place / step.outWidth) * step.high * BYTES;
  const columns = step.columns + <usize>(place % step.outWidth) * step.wide * BYTES;
  for (let y = 0; y < step.high; y++) {
    const row = load<i32>(rows + y * BYTES);
    for (let x = 0; x < step.wide; x++) {
      const column = load<i32>(columns + x * BYTES);
      const padding = row < 0 || column < 0;
      const pixel = (row * step.width + column) * step.channels;
      store<usize>(to, padding ? step.zeros : step.map + pixel * BYTES);
      to += BYTES;
    }
  }
}

/** Four numbers of an output, from sums to what the next step reads. */
// @ts-ignore
@inline
function finish(step: Step, sums: v128, offset: usize): v128 {
  if (step.other) sums = f32x4.add(sums, v128.load(step.other + offset));
  return step.relu ? f32x4.max(sums, f32x4.splat(0)) : sums;
}

/** A convolution in which each output reads one channel, its own: eight channels at a time. */
export function depthwise(step: Step): void {
  const taps = step.high * step.wide;
  const channels = step.channels;
  const nextTap = <usize>((channels + 7) & ~7) * BYTES; // the weights of a tap fill whole eights
  for (let place = 0; place < step.outHeight * step.outWidth; place++) {
    look(step, place, step.scratch);
    const to = <usize>place * channels * BYTES;
    // The last eight may run into the next place, which is written later.
    for (let at: usize = 0; at < <usize>channels * BYTES; at += 8 * BYTES) {
      let a = v128.load(step.biases + at);
      let b = v128.load(step.biases + at, 16);
      let weights = step.weights + at;
      for (let tap = 0; tap < taps; tap++) {
        const from = load<usize>(step.scratch + tap * BYTES) + at;
        a = f32x4.add(a, f32x4.mul(v128.load(from), v128.load(weights)));
        b = f32x4.add(b, f32x4.mul(v128.load(from, 16), v128.load(weights, 16)));
        weights += nextTap;
      }
      v128.store(step.out + to + at, finish(step, a, to + at));
      v128.store(step.out + to + at, finish(step, b, to + at + 16), 16);
    }
  }
}

/** Copy what the taps at `addresses` hold of a group, side by side. */
// @ts-ignore
@inline
function gather(addresses: usize, taps: i32, start: usize, bytes: usize, to: usize): void {
  for (let tap = 0; tap < taps; tap++) {
    const from = load<usize>(addresses + tap * BYTES) + start;
    let n: usize = 0;
    for (; n + 16 <= bytes; n += 16) v128.store(to + n, v128.load(from + n));
    for (; n < bytes; n += BYTES) store<f32>(to + n, load<f32>(from + n));
    to += bytes;
  }
}

/** Write eight outputs of one place, or the `count` first of them. */
// @ts-ignore
@inline
function put(step: Step, left: v128, right: v128, offset: usize, count: i32): void {
  left = finish(step, left, offset);
  right = finish(step, right, offset + 16);
  const to = step.out + offset;
  if (count >= 8) {
    v128.store(to, left);
    v128.store(to, right, 16);
    return;
  }
  // What lies behind them is another group's, or another place's.
  v128.store(step.scratch, left);
  v128.store(step.scratch, right, 16);
  for (let n = 0; n < count * BYTES; n += BYTES) store<f32>(to + n, load<f32>(step.scratch + n));
}

/**
 * Any convolution, at four places and for eight outputs at a time: 32 sums stay in the processor,
 * and each number that is read is used four or eight times. An output's weights stand beside those
 * of the seven others: (groups, eights of outputs, taps and channels, 8).
 */
export function convolve(step: Step): void {
  const places = step.outHeight * step.outWidth;
  const taps = step.high * step.wide;
  const perGroup = step.channels / step.groups;
  const length = taps * perGroup;
  const outputs = step.groups * step.share;
  const room = <usize>max(taps * BYTES, 32); // at least for eight numbers: see `put`
  const addresses = step.scratch + 32;
  const patches = addresses + 4 * room;
  const patch = <usize>length * BYTES;
  for (let place = 0; place < places; place += 4) {
    // Behind the last place there is none: it is done again.
    const second = min(place + 1, places - 1);
    const third = min(place + 2, places - 1);
    const fourth = min(place + 3, places - 1);
    look(step, place, addresses);
    look(step, second, addresses + room);
    look(step, third, addresses + 2 * room);
    look(step, fourth, addresses + 3 * room);
    let weights = step.weights;
    let biases = step.biases;
    for (let group = 0; group < step.groups; group++) {
      const start = <usize>(group * perGroup) * BYTES;
      let a: usize, b: usize, c: usize, d: usize;
      if (taps == 1) { // what it reads lies side by side already
        a = load<usize>(addresses) + start;
        b = load<usize>(addresses + room) + start;
        c = load<usize>(addresses + 2 * room) + start;
        d = load<usize>(addresses + 3 * room) + start;
      } else {
        a = patches;
        b = a + patch;
        c = b + patch;
        d = c + patch;
        const bytes = <usize>perGroup * BYTES;
        gather(addresses, taps, start, bytes, a);
        gather(addresses + room, taps, start, bytes, b);
        gather(addresses + 2 * room, taps, start, bytes, c);
        gather(addresses + 3 * room, taps, start, bytes, d);
      }
      for (let first = 0; first < step.share; first += 8) {
        let a1 = v128.load(biases), a2 = v128.load(biases, 16);
        let b1 = a1, b2 = a2, c1 = a1, c2 = a2, d1 = a1, d2 = a2;
        for (let n: usize = 0; n < patch; n += BYTES) {
          const v = v128.load(weights), w = v128.load(weights, 16);
          weights += 32;
          let x = v128.load32_splat(a + n);
          a1 = f32x4.add(a1, f32x4.mul(x, v)); a2 = f32x4.add(a2, f32x4.mul(x, w));
          x = v128.load32_splat(b + n);
          b1 = f32x4.add(b1, f32x4.mul(x, v)); b2 = f32x4.add(b2, f32x4.mul(x, w));
          x = v128.load32_splat(c + n);
          c1 = f32x4.add(c1, f32x4.mul(x, v)); c2 = f32x4.add(c2, f32x4.mul(x, w));
          x = v128.load32_splat(d + n);
          d1 = f32x4.add(d1, f32x4.mul(x, v)); d2 = f32x4.add(d2, f32x4.mul(x, w));
        }
        biases += 32;
        const output = group * step.share + first;
        const count = step.share - first;
        put(step, a1, a2, <usize>(place * outputs + output) * BYTES, count);
        put(step, b1, b2, <usize>(second * outputs + output) * BYTES, count);
        put(step, c1, c2, <usize>(third * outputs + output) * BYTES, count);
        put(step, d1, d2, <usize>(fourth * outputs + output) * BYTES, count);
      }
    }
  }
}

/** A sum or a ReLU that follows no convolution: `count` numbers of `map`, then as for all steps. */
export function pass(step: Step, count: i32): void {
  for (let at: usize = 0; at < <usize>count * BYTES; at += 16) {
    v128.store(step.out + at, finish(step, v128.load(step.map + at), at));
  }
}
