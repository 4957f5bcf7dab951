"""Where units look, in whole numbers: along one axis of one operation, then home to the image.

A unit is one position (y, x) of a feature map, all its channels together; its taps are the units
of the input that it looks at. Along each axis a `Step` gives them; `follow` and `gather` put steps
together. Nothing here knows a network: `rules` does.

Lesson: Receptive fields.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from typing import NamedTuple

import numpy as np

HEIGHT = 0  # the order of every pair is (y, x)
WIDTH = 1
AXES = (HEIGHT, WIDTH)
ABSENT = np.iinfo(np.int64).min  # a tap that looks at nothing


# ---------------------------------------------------------------- one axis of one operation

# What a tap beyond the edge of `units` units really reads.
# Source: `mode` in the documentation of torch.nn.functional.pad.
BORDERS: dict[str, Callable[[np.ndarray, int], np.ndarray]] = {
    "constant": lambda taps, units: np.where((taps < 0) | (taps >= units), ABSENT, taps),
    "replicate": lambda taps, units: taps.clip(0, units - 1),
    "reflect": lambda taps, units: units - 1 - abs(units - 1 - abs(taps)),
    "circular": lambda taps, units: taps % units,
}


@dataclass(frozen=True)
class Step:
    """Where the outputs of an operation look, along one axis.

    `taps` turns output units (m,) into input units (m, k), ABSENT where there is none. It holds
    for every whole number: below 0 and past the end lie virtual units, as if the map went on.
    """

    taps: Callable[[np.ndarray], np.ndarray]
    border: str = "constant"

    def look(self, outputs: np.ndarray, units: int, *, real: bool) -> np.ndarray:
        """Taps of `outputs` on an input of `units`; if `real`, the border's rule applies."""
        taps = self.taps(outputs)
        if real or self.border == "circular":  # what wraps round has nothing beyond
            return np.where(taps == ABSENT, ABSENT, BORDERS[self.border](taps, units))
        return taps


def window(
    kernel: int = 1, stride: int = 1, padding: int = 0, dilation: int = 1, border: str = "constant"
) -> Step:
    """`kernel` taps, `dilation` apart, the first at output * stride - padding."""
    offsets = np.arange(kernel) * dilation - padding
    return Step(lambda outputs: outputs[:, None] * stride + offsets, border)


def transposed_window(kernel: int, stride: int, padding: int, dilation: int) -> Step:
    """The inputs whose windows hold the output; a stride may leave an output without any."""
    offsets = padding - np.arange(kernel) * dilation

    def taps(outputs: np.ndarray) -> np.ndarray:
        strided = outputs[:, None] + offsets
        return np.where(strided % stride == 0, strided // stride, ABSENT)

    return Step(taps)


def whole(units: int) -> Step:
    """Every output looks at all `units`."""
    return Step(lambda outputs: np.broadcast_to(np.arange(units), (len(outputs), units)))


def spread() -> Step:
    """Every output looks at unit 0, the only one: broadcasting."""
    return Step(lambda outputs: np.zeros((len(outputs), 1), int))


def blocks(units: int, count: int) -> Step:
    """`units` shared out over `count` outputs; where they do not divide, blocks overlap."""

    def taps(outputs: np.ndarray) -> np.ndarray:
        first, end = outputs * units // count, -(-(outputs + 1) * units // count)
        block = first[:, None] + np.arange(-(-units // count) + 1)
        return np.where(block < end[:, None], block, ABSENT)

    return whole(units) if count == 1 else Step(taps)


def nearest(units: int, count: int, scale: float | None, exact: bool) -> Step:
    """One tap, at the floor of output * units / count; `exact` measures from the pixel's centre."""
    if not exact and count in (units, 2 * units):
        return Step(lambda outputs: (outputs * units // count)[:, None], "replicate")
    # PyTorch rounds to float32 before the floor; so must we, to find the same unit.
    ratio = np.float32(1 / scale) if scale else np.float32(units) / np.float32(count)
    centre = np.float32(0.5 if exact else 0)

    def taps(outputs: np.ndarray) -> np.ndarray:
        return np.floor((outputs[:, None].astype(np.float32) + centre) * ratio).astype(int)

    return Step(taps, "replicate")


def interpolated(units: int, count: int, scale: float | None, corners: bool, kernel: int) -> Step:
    """The 2 (linear) or 4 (cubic) units around a point; one if it is hit: the rest weigh zero."""
    if corners:
        ratio, shift = Fraction(units - 1, max(count - 1, 1)), Fraction(0)
    else:
        ratio = 1 / Fraction(scale).limit_denominator(10**6) if scale else Fraction(units, count)
        shift = (ratio - 1) / 2  # the corners of the pixels match, not their centres
    parts = math.lcm(ratio.denominator, shift.denominator)
    offsets = np.arange(kernel) - (kernel // 2 - 1)

    def taps(outputs: np.ndarray) -> np.ndarray:
        point = outputs[:, None] * int(ratio * parts) + int(shift * parts)  # in parts of a unit
        return np.where((point % parts == 0) & (offsets != 0), ABSENT, point // parts + offsets)

    return Step(taps, "replicate")


# --------------------------------------------------------------------- steps put together


@dataclass(eq=False)
class Grid:
    """A feature map of `units` (height, width), with a step per axis to each grid it looks at.

    Only the image has no links. `geometry` is kernel, stride and dilation, for the table.
    """

    units: tuple[int, int]
    links: tuple[tuple["Grid", tuple[Step, Step]], ...] = ()
    geometry: tuple[tuple[int, int], ...] | None = None


NOTHING = 2**62  # the first pixel of a unit that sees none; its last is -NOTHING


class Spans(NamedTuple):
    """First and last pixel, along one axis, that units `begin`, `begin` + 1, ... see."""

    begin: int
    first: np.ndarray
    last: np.ndarray

    def follow(self, begin: int, looks: np.ndarray) -> "Spans":
        """The spans of units `begin`, ... that look at k of these each; `looks` is (m, k)."""
        index = np.where(looks == ABSENT, -1, looks - self.begin)
        first = np.append(self.first, NOTHING)[index].min(axis=1)
        return Spans(begin, first, np.append(self.last, -NOTHING)[index].max(axis=1))

    def union(self, other: "Spans") -> "Spans":
        """From the lesser first to the greater last."""
        first, last = np.minimum(self.first, other.first), np.maximum(self.last, other.last)
        return Spans(self.begin, first, last)


def follow(grids: list[Grid], *, real: bool) -> dict[Grid, list[tuple[Spans, Spans]]]:
    """What every unit sees; `real`: in the image, otherwise as if all maps went on for ever.

    For each grid, pairs of spans along y and x; each pair gives a unit a box, and the unit's box
    is their union. More than one pair there is only where units see nothing along one axis, as
    between the taps of a strided transposed convolution: one branch's y must not meet another's x.
    """
    # Backwards: which units, virtual ones included, does anyone look at?
    asked = {grid: [(0, max(n, 1 if real else 2) - 1) for n in grid.units] for grid in grids}
    looks = {}
    for grid in reversed(grids):
        for link, (source, steps) in enumerate(grid.links):
            for axis in AXES:
                first, last = asked[grid][axis]
                units = steps[axis].look(np.arange(first, last + 1), source.units[axis], real=real)
                looks[grid, link, axis] = units
                present = units[units != ABSENT]
                if present.size:
                    first, last = asked[source][axis]
                    asked[source][axis] = min(first, present.min()), max(last, present.max())
    # Forwards: what do they see?
    pixels = [np.arange(first, last + 1) for first, last in asked[grids[0]]]
    seen = {grids[0]: [tuple(Spans(axis[0], axis, axis) for axis in pixels)]}
    for grid in grids[1:]:
        begins, found = [first for first, _ in asked[grid]], {}
        for link, (source, _) in enumerate(grid.links):
            for spans in seen[source]:
                both = [spans[a].follow(begins[a], looks[grid, link, a]) for a in AXES]
                blind = tuple((each.first > each.last).tobytes() for each in both)
                known = found.get(blind, both)
                found[blind] = tuple(map(Spans.union, known, both))
        seen[grid] = list(found.values())
    return seen


def gather(weights: np.ndarray, step: Step, units: int) -> np.ndarray:
    """`weights` of outputs, along axis 0, handed back to the `units` that they look at and added.

    True and false are added to "either".
    """
    outputs = np.flatnonzero(weights.any(axis=1))
    looks = step.look(outputs, units, real=True)
    total = np.zeros((units + 1, weights.shape[1]), weights.dtype)  # the last row: nothing
    for tap in np.where(looks == ABSENT, units, looks).T:
        np.add.at(total, tap, weights[outputs])
    return total[:-1]
