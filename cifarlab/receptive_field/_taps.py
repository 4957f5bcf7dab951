"""Where units look, in whole numbers: along one axis of one operation, then home to the image.

A grid is a set of units, one for each place along its axes: a feature map has two axes, windows
of a map have four. A unit's taps are the units of another grid that it looks at. Along each axis
of that other grid a `Look` gives them; `follow` and `hand_back` put looks together. Nothing here
knows a network: `rules` does.

Lesson: Receptive fields.
"""

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from typing import NamedTuple

import numpy as np

HEIGHT = 0  # the image's axes, in the order of every pair (y, x)
WIDTH = 1
AXES = (HEIGHT, WIDTH)
ABSENT = np.iinfo(np.int64).min  # a tap that looks at nothing


# ---------------------------------------------------------------- one axis of one operation


def zeros(taps: np.ndarray, units: int) -> np.ndarray:
    """Beyond the edge there is nothing."""
    return np.where((taps < 0) | (taps >= units), ABSENT, taps)


def replicate(taps: np.ndarray, units: int) -> np.ndarray:
    """Beyond the edge, the unit at the edge goes on."""
    return taps.clip(0, units - 1)


def reflect(taps: np.ndarray, units: int) -> np.ndarray:
    """Beyond the edge, the map is mirrored, the unit at the edge not repeated."""
    return units - 1 - abs(units - 1 - abs(taps))


def circular(taps: np.ndarray, units: int) -> np.ndarray:
    """Beyond the edge, the map begins anew."""
    return taps % units


# What a tap beyond the edge of `units` units really reads.
# Source: `mode` in the documentation of torch.nn.functional.pad.
BORDERS: dict[str, Callable[[np.ndarray, int], np.ndarray]] = {
    "constant": zeros,
    "replicate": replicate,
    "reflect": reflect,
    "circular": circular,
}


@dataclass(frozen=True)
class Step:
    """Where the outputs of an operation look, along one axis.

    `taps` turns output units (...) into input units (..., k), ABSENT where there is none. It holds
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


# Each maker below returns a Step over a function of this module, so that a Step can be pickled.


def taps_of_window(outputs: np.ndarray, stride: int, offsets: np.ndarray) -> np.ndarray:
    return outputs[..., None] * stride + offsets


def window(
    kernel: int = 1, stride: int = 1, padding: int = 0, dilation: int = 1, border: str = "constant"
) -> Step:
    """`kernel` taps, `dilation` apart, the first at output * stride - padding."""
    offsets = np.arange(kernel) * dilation - padding
    return Step(partial(taps_of_window, stride=stride, offsets=offsets), border)


SAME = window()  # every output looks at the unit of its own number


def taps_of_transposed(outputs: np.ndarray, stride: int, offsets: np.ndarray) -> np.ndarray:
    strided = outputs[..., None] + offsets
    return np.where(strided % stride == 0, strided // stride, ABSENT)


def transposed_window(kernel: int, stride: int, padding: int, dilation: int) -> Step:
    """The inputs whose windows hold the output; a stride may leave an output without any."""
    offsets = padding - np.arange(kernel) * dilation
    return Step(partial(taps_of_transposed, stride=stride, offsets=offsets))


def taps_of_all_units(outputs: np.ndarray, units: int) -> np.ndarray:
    return np.broadcast_to(np.arange(units), (*outputs.shape, units))


def all_units(units: int) -> Step:
    """Every output looks at all `units`."""
    return Step(partial(taps_of_all_units, units=units))


def taps_of_company(outputs: np.ndarray, units: int) -> np.ndarray:
    beyond = np.where((outputs < 0) | (outputs >= units), outputs, ABSENT)
    return np.concatenate([taps_of_all_units(outputs, units), beyond[..., None]], -1)


def company(units: int) -> Step:
    """Every output looks at all `units`, and a virtual one at itself as well."""
    return Step(partial(taps_of_company, units=units))


def taps_so_far(outputs: np.ndarray, units: int) -> np.ndarray:
    places = taps_of_all_units(outputs, units)
    return np.where(places <= outputs[..., None], places, ABSENT)


def so_far(units: int) -> Step:
    """Every output looks at the units up to its own number."""
    return Step(partial(taps_so_far, units=units))


def taps_of_blocks(outputs: np.ndarray, units: int, count: int) -> np.ndarray:
    first, end = outputs * units // count, -(-(outputs + 1) * units // count)
    block = first[..., None] + np.arange(-(-units // count) + 1)
    return np.where(block < end[..., None], block, ABSENT)


def blocks(units: int, count: int) -> Step:
    """`units` shared out over `count` outputs; where they do not divide, blocks overlap."""
    if count == 1:
        return all_units(units)
    return Step(partial(taps_of_blocks, units=units, count=count))


def taps_of_nearest(outputs: np.ndarray, ratio: np.float32, centre: np.float32) -> np.ndarray:
    return np.floor((outputs[..., None].astype(np.float32) + centre) * ratio).astype(int)


def nearest(units: int, count: int, scale: float | None, exact: bool) -> Step:
    """One tap, at the floor of output * units / count; `exact` measures from the pixel's centre."""
    if not exact and count in (units, 2 * units):
        return Step(digit(count // units).taps, "replicate")
    # PyTorch rounds to float32 before the floor; so must we, to find the same unit.
    ratio = np.float32(1 / scale) if scale else np.float32(units) / np.float32(count)
    centre = np.float32(0.5 if exact else 0)
    return Step(partial(taps_of_nearest, ratio=ratio, centre=centre), "replicate")


def taps_of_interpolated(
    outputs: np.ndarray, ratio: int, shift: int, parts: int, offsets: np.ndarray
) -> np.ndarray:
    point = outputs[..., None] * ratio + shift  # in parts of a unit
    return np.where((point % parts == 0) & (offsets != 0), ABSENT, point // parts + offsets)


def sampling(units: int, count: int, scale: float | None) -> Fraction:
    """Units from one output to the next."""
    return 1 / Fraction(scale).limit_denominator(10**6) if scale else Fraction(units, count)


def interpolated(units: int, count: int, scale: float | None, corners: bool, kernel: int) -> Step:
    """The 2 (linear) or 4 (cubic) units around a point; one if it is hit: the rest weigh zero."""
    if corners:
        ratio, shift = Fraction(units - 1, max(count - 1, 1)), Fraction(0)
    else:
        ratio = sampling(units, count, scale)
        shift = (ratio - 1) / 2  # the corners of the pixels match, not their centres
    parts = math.lcm(ratio.denominator, shift.denominator)
    offsets = np.arange(kernel) - (kernel // 2 - 1)
    taps = partial(
        taps_of_interpolated,
        ratio=int(ratio * parts),
        shift=int(shift * parts),
        parts=parts,
        offsets=offsets,
    )
    return Step(taps, "replicate")


def taps_of_antialiased(outputs: np.ndarray, ratio: Fraction, reach: Fraction) -> np.ndarray:
    parts = 2 * math.lcm(ratio.denominator, reach.denominator)
    centre = outputs[..., None] * int(ratio * parts) + int(ratio * parts) // 2
    taps = (centre - int(reach * parts)) // parts + np.arange(math.ceil(2 * reach) + 2)
    far = abs(taps * parts + parts // 2 - centre) >= int(reach * parts)  # weigh zero
    return np.where(far, ABSENT, taps)


def antialiased(units: int, count: int, scale: float | None, corners: bool, kernel: int) -> Step:
    """All units under a triangle (or cubic) as wide as an output; its ends weigh zero.

    Source: _compute_weights_aa in PyTorch's aten/src/ATen/native/cpu/UpSampleKernel.cpp.
    """
    own = sampling(units, count, scale)
    ratio = Fraction(units - 1, max(count - 1, 1)) if corners else own
    reach = Fraction(kernel, 2) * max(ratio, Fraction(1))
    return Step(partial(taps_of_antialiased, ratio=ratio, reach=reach))


def taps_of_digit(
    outputs: np.ndarray, by: int, count: int | None, offset: int, low: float, high: float
) -> np.ndarray:
    inside = (outputs >= low) & (outputs < high)
    digit = (outputs - offset) // by
    return np.where(inside, digit if count is None else digit % count, ABSENT)[..., None]


def digit(
    by: int = 1,
    count: int | None = None,
    offset: int = 0,
    low: float = -math.inf,
    high: float = math.inf,
) -> Step:
    """One tap, for outputs from `low` to `high`: their number less `offset`, divided by `by`.

    Of a number of several digits, the one that runs up to `count`.
    """
    return Step(partial(taps_of_digit, by=by, count=count, offset=offset, low=low, high=high))


def taps_listed(outputs: np.ndarray, listed: np.ndarray) -> np.ndarray:
    inside = (outputs >= 0) & (outputs < len(listed))
    return np.where(inside[..., None], listed[np.where(inside, outputs, 0)], ABSENT)


def table(listed: np.ndarray) -> Step:
    """The taps of output u are `listed[u]`, (m, k), ABSENT where there are fewer."""
    return Step(partial(taps_listed, listed=listed))


class Look(NamedTuple):
    """Where units look along one axis of a source: `step`, from a number that their places make.

    The number is the sum of place * scale over `digits`, pairs (axis, scale) of the looking grid:
    mostly one axis, scale 1. Without any it is 0: all units look at the same.
    """

    step: Step = SAME
    digits: tuple[tuple[int, int], ...] = ()

    @property
    def axes(self) -> tuple[int, ...]:
        """The axes that decide, without their scales."""
        return tuple(axis for axis, _ in self.digits)

    def taps(
        self, places: Sequence[np.ndarray], sizes: Sequence[int], units: int, *, real: bool
    ) -> np.ndarray:
        """Taps on an axis of `units`: one dimension for the `places` on each of `axes`, then k.

        Only the first digit goes on beyond the edge of the looking grid's `sizes`.
        """
        if len(self.digits) == 1 and self.digits[0][1] == 1:
            return self.step.look(places[self.digits[0][0]], units, real=real)
        grids = np.ix_(*[places[axis] for axis, _ in self.digits])
        number = sum((g * scale for g, (_, scale) in zip(grids, self.digits, strict=True)), 0)
        taps = self.step.look(np.asarray(number), units, real=real)
        for g, (axis, _) in list(zip(grids, self.digits, strict=True))[1:]:
            if g.size and (g.min() < 0 or g.max() >= sizes[axis]):
                outside = (g < 0) | (g >= sizes[axis])
                taps = np.where(outside[..., None], ABSENT, taps)
        return taps


# --------------------------------------------------------------------- steps put together


@dataclass(eq=False)
class Grid:
    """Places of `units` along each axis, with links to the grids that its units look at.

    A link is a grid and a Look for each of that grid's axes: a unit looks at every combination of
    their taps. Only the image has no links. `geometry` is kernel, stride and dilation, for the
    table; `loose` says why units may see less than this, if they may.
    """

    units: tuple[int, ...]
    links: tuple[tuple["Grid", tuple[Look, ...]], ...] = ()
    geometry: tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]] | None = None
    loose: str | None = None

    def __post_init__(self) -> None:
        """What looks at something loose is loose itself."""
        if self.loose is None:
            self.loose = next((grid.loose for grid, _ in self.links if grid.loose), None)


NOTHING = 2**62  # the first pixel of a unit that sees none; its last is -NOTHING


class Spans(NamedTuple):
    """First and last pixel, along one axis of the image, that units see.

    The arrays have a dimension for each of the grid's `axes` on which that depends; their first
    entry belongs to the unit `begin`.
    """

    axes: tuple[int, ...]
    begin: tuple[int, ...]
    first: np.ndarray
    last: np.ndarray

    def at(self, unit: Sequence[int]) -> tuple[int, int]:
        """First and last pixel of one unit."""
        place = tuple(unit[a] - b for a, b in zip(self.axes, self.begin, strict=True))
        return int(self.first[place]), int(self.last[place])

    def follow(self, looks: Sequence[tuple[tuple[int, ...], np.ndarray]], begin) -> "Spans":
        """The spans of units that look at these; `looks` has axes and taps for each axis here."""
        if len(self.axes) == 1 and len(looks[self.axes[0]][0]) == 1:  # the common case, at once
            axes, taps = looks[self.axes[0]]
            index = np.where(taps == ABSENT, -1, taps - self.begin[0])
            first = np.append(self.first, NOTHING)[index].min(axis=1)
            last = np.append(self.last, -NOTHING)[index].max(axis=1)
            return Spans(axes, (begin[axes[0]],), first, last)
        axes = tuple(sorted({axis for own in self.axes for axis in looks[own][0]}))
        first, last = self.first, self.last
        for d in range(first.ndim):
            edge = [(0, int(d == other)) for other in range(first.ndim)]
            first = np.pad(first, edge, constant_values=NOTHING)
            last = np.pad(last, edge, constant_values=-NOTHING)
        shared = sum(len(looks[own][0]) for own in self.axes) > len(axes)
        if not shared:  # one axis after the other
            labels: list = [("own", own) for own in self.axes]
            for own, start in zip(self.axes, self.begin, strict=True):
                d = labels.index(("own", own))
                drivers, taps = looks[own]
                index = np.where(taps == ABSENT, -1, taps - start)
                first = np.take(first, index, axis=d).min(axis=d + len(drivers))
                last = np.take(last, index, axis=d).max(axis=d + len(drivers))
                labels[d : d + 1] = drivers
            order = [labels.index(axis) for axis in axes]
            first, last = first.transpose(order), last.transpose(order)
        else:  # together, where one axis decides on two
            indices, k = [], len(self.axes)
            for n, (own, start) in enumerate(zip(self.axes, self.begin, strict=True)):
                drivers, taps = looks[own]
                order = [*np.argsort(drivers), len(drivers)]
                shape = [1] * (len(axes) + k)
                for axis, size in zip(drivers, taps.shape[:-1], strict=True):
                    shape[axes.index(axis)] = size
                shape[len(axes) + n] = taps.shape[-1]
                placed = np.where(taps == ABSENT, -1, taps - start).transpose(order)
                indices.append(placed.reshape(shape))
            beyond = tuple(range(len(axes), len(axes) + k))
            first = first[tuple(indices)].min(axis=beyond)
            last = last[tuple(indices)].max(axis=beyond)
        for d in reversed(range(len(axes))):  # what does not depend on an axis forgets it
            same = [(ends == ends.take([0], d)).all() for ends in (first, last) if len(axes) > 1]
            if all(same) and same:
                first, last = first.take(0, d), last.take(0, d)
                axes = axes[:d] + axes[d + 1 :]
        return Spans(axes, tuple(begin[axis] for axis in axes), first, last)

    def union(self, other: "Spans") -> "Spans":
        """From the lesser first to the greater last; the axes of one include the other's."""
        if len(other.axes) > len(self.axes):
            self, other = other, self
        shape = [
            size if axis in other.axes else 1
            for axis, size in zip(self.axes, self.first.shape, strict=True)
        ]
        first = np.minimum(self.first, other.first.reshape(shape))
        last = np.maximum(self.last, other.last.reshape(shape))
        return Spans(self.axes, self.begin, first, last)

    def same(self, other: "Spans") -> bool:
        """Whether all units see the same pixels."""
        return (
            self.axes == other.axes
            and np.array_equal(self.first, other.first)
            and np.array_equal(self.last, other.last)
        )

    def blind(self) -> bytes | None:
        """Which units see nothing; None if all see something."""
        blind = self.first > self.last
        return blind.tobytes() if blind.any() else None


# What units see along y and along x, and whether they see at all: as spans over one pixel.
Boxes = tuple[Spans, Spans, Spans]


def merge(boxes: list[Boxes]) -> list[Boxes]:
    """As few boxes for each unit as there can be without making what it sees larger.

    Boxes of one unit become one box around them, but one branch's y must not meet another's x
    where it sees nothing along one axis, as between the taps of a strided transposed convolution.
    """
    if len(boxes) == 1:
        return boxes

    def blindness(box: Boxes) -> tuple:
        """For each of its spans, the units that see nothing; and whether they are the same ones."""
        y, x, there = ((spans.axes, b) if (b := spans.blind()) else None for spans in box)
        return (y, x, there), y == x and there in (None, y)

    merged: list[tuple[tuple, Boxes]] = []
    for box in boxes:
        blind, whole = blindness(box)
        for n, ((other_blind, other_whole), other) in enumerate(merged):
            pairs = list(zip(box, other, strict=True))
            if not all(set(a.axes) <= set(b.axes) or set(b.axes) <= set(a.axes) for a, b in pairs):
                continue
            alike = blind == other_blind or (whole and other_whole)
            if alike or sum(not a.same(b) for a, b in pairs) < 2:
                y, x, there = (a.union(b) for a, b in pairs)
                box = (y, x, there)
                merged[n] = blindness(box), box
                break
        else:
            merged.append(((blind, whole), box))
    sighted = [box for _, box in merged if all((s.first <= s.last).any() for s in box)]
    return sighted or [merged[0][1]]


def follow(grids: list[Grid], *, real: bool) -> dict[Grid, list[Boxes]]:
    """What every unit sees; `real`: in the image, otherwise as if all maps went on for ever."""
    # Backwards: which units, virtual ones included, does anyone look at?
    ranges = {grid: [(0, max(n, 1 if real else 2) - 1) for n in grid.units] for grid in grids}
    looks: dict[tuple[Grid, int, int], tuple[tuple[int, ...], np.ndarray]] = {}
    for grid in reversed(grids):
        places = [np.arange(first, last + 1) for first, last in ranges[grid]]
        for link, (source, ways) in enumerate(grid.links):
            for axis, look in enumerate(ways):
                taps = look.taps(places, grid.units, source.units[axis], real=real)
                looks[grid, link, axis] = (look.axes, taps)
                if taps.size:
                    first, last = ranges[source][axis]
                    present = taps if taps.min() != ABSENT else taps[taps != ABSENT]
                    if present.size:
                        first, last = min(first, present.min()), max(last, present.max())
                        ranges[source][axis] = first, last
    # Forwards: what do they see?
    image = []
    for axis, (first, last) in enumerate(ranges[grids[0]]):
        pixels = np.arange(first, last + 1)
        image.append(Spans((axis,), (first,), pixels, pixels))
    rows, columns = image
    here = np.zeros((), int)
    seen: dict[Grid, list[Boxes]] = {grids[0]: [(rows, columns, Spans((), (), here, here))]}
    for grid in grids[1:]:
        begin = [first for first, _ in ranges[grid]]
        boxes = []
        for link, (source, ways) in enumerate(grid.links):
            steps = [looks[grid, link, axis] for axis in range(len(ways))]
            for y, x, there in seen[source]:
                tracks = [spans.follow(steps, begin) for spans in (y, x, there)]
                for axis in {*range(len(ways))} - {*y.axes, *x.axes, *there.axes}:
                    axes, taps = steps[axis]
                    tracks[2] = narrow(tracks[2], axes, taps, begin)
                boxes.append(settle(tracks))
        seen[grid] = merge(boxes)
    return seen


def settle(tracks: list[Spans]) -> Boxes:
    """Spans of one box; units that see nothing along one of them see nothing along any.

    That matters, and is done, where both depend on the same axis: a sum along it would take the
    rows of one unit and the columns of another.
    """
    for one, other in itertools.permutations(range(len(tracks)), 2):
        a, b = tracks[one], tracks[other]
        if set(a.axes) & set(b.axes) and a.blind():
            blind = a.first > a.last
            both = tuple(sorted({*a.axes, *b.axes}))
            shapes = [
                [s.first.shape[s.axes.index(axis)] if axis in s.axes else 1 for axis in both]
                for s in (a, b)
            ]
            begin = {
                **dict(zip(a.axes, a.begin, strict=True)),
                **dict(zip(b.axes, b.begin, strict=True)),
            }
            blind = blind.reshape(shapes[0])
            tracks[other] = Spans(
                both,
                tuple(begin[axis] for axis in both),
                np.where(blind, NOTHING, b.first.reshape(shapes[1])),
                np.where(blind, -NOTHING, b.last.reshape(shapes[1])),
            )
    y, x, there = tracks
    return y, x, there


def narrow(there: Spans, axes: tuple[int, ...], taps: np.ndarray, begin) -> Spans:
    """`there`, but for the units without a tap on a further axis of the source."""
    absent = (taps == ABSENT).all(axis=-1)
    if not absent.any():
        return there
    absent = absent.transpose(np.argsort(axes))
    both = tuple(sorted({*there.axes, *axes}))
    shapes = [
        [s.shape[own.index(axis)] if axis in own else 1 for axis in both]
        for s, own in ((there.first, there.axes), (absent, tuple(sorted(axes))))
    ]
    absent = absent.reshape(shapes[1])
    first = np.where(absent, NOTHING, there.first.reshape(shapes[0]))
    last = np.where(absent, -NOTHING, there.last.reshape(shapes[0]))
    return Spans(both, tuple(begin[axis] for axis in both), first, last)


# ------------------------------------------------------------------------- from unit to pixels


def hand_back(weights: np.ndarray, grid: Grid, source: Grid, ways: tuple[Look, ...]) -> np.ndarray:
    """`weights` of a grid's units, handed to the source's units that they look at and added up.

    True and false are added to "either".
    """
    # Which axis of the grid a dimension is, or (axis,) of the source.
    held: list[int | tuple[int]] = [*range(weights.ndim)]
    for outputs, inputs in together(ways):
        axes = [held.index(axis) for axis in outputs]
        rest = [d for d in range(weights.ndim) if d not in axes]
        moved = weights.transpose([*axes, *rest])
        shape = moved.shape[len(axes) :]
        moved = moved.reshape(math.prod(moved.shape[: len(axes)]), math.prod(shape))
        sizes = [source.units[axis] for axis in inputs]
        total = gather(moved, [grid.units[a] for a in outputs], outputs, sizes, inputs, ways)
        weights = total.reshape(*sizes, *shape)
        held = [*((axis,) for axis in inputs), *(held[d] for d in rest)]
    unasked = [d for d, axis in enumerate(held) if not isinstance(axis, tuple)]
    if unasked:
        add_up = np.any if weights.dtype == bool else np.sum
        weights = add_up(weights, axis=tuple(unasked))
        held = [axis for axis in held if isinstance(axis, tuple)]
    return weights.transpose([held.index((axis,)) for axis in range(len(ways))])


def together(ways: tuple[Look, ...]) -> list[tuple[list[int], list[int]]]:
    """Axes of the looking grid and of the source that must be taken at once, for one decides."""
    groups: list[tuple[set[int], list[int]]] = []
    for axis, look in enumerate(ways):
        outputs, inputs, others = set(look.axes), [axis], []
        for group in groups:
            if group[0] & outputs:
                outputs, inputs = outputs | group[0], inputs + group[1]
            else:
                others.append(group)
        groups = [*others, (outputs, inputs)]
    return [(sorted(outputs), sorted(inputs)) for outputs, inputs in groups]


def gather(
    weights: np.ndarray,
    counts: list[int],
    outputs: list[int],
    sizes: list[int],
    inputs: list[int],
    ways: tuple[Look, ...],
) -> np.ndarray:
    """`weights` (units, others) along `outputs`, to (units, others) along `inputs`."""
    rows = np.flatnonzero(weights.any(axis=1))
    if not rows.size:
        return np.zeros((math.prod(sizes), weights.shape[1]), weights.dtype)
    places = dict(zip(outputs, np.unravel_index(rows, counts) if counts else (), strict=True))
    index = np.zeros((len(rows), 1), np.int64)
    absent = np.zeros((len(rows), 1), bool)
    for axis, size in zip(inputs, sizes, strict=True):
        look = ways[axis]
        number = sum((places[a] * scale for a, scale in look.digits), np.zeros(len(rows), int))
        taps = look.step.look(number, size, real=True)
        nothing = taps == ABSENT
        index = (index[:, :, None] * size + np.where(nothing, 0, taps)[:, None]).reshape(
            len(rows), -1
        )
        absent = (absent[:, :, None] | nothing[:, None]).reshape(len(rows), -1)
    total = np.zeros((math.prod(sizes) + 1, weights.shape[1]), weights.dtype)  # the last: nothing
    index = np.where(absent, len(total) - 1, index)
    for tap in index.T:
        np.add.at(total, tap, weights[rows])
    return total[:-1]
