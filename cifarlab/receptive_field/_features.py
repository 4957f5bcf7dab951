"""Tensors as the rules see them, and how a result looks at its inputs: what all rules share.

Lesson: Receptive fields.
"""

import itertools
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor

from cifarlab.receptive_field._taps import AXES, SAME, Grid, Look, Step, all_units, company, digit


class Refused(ValueError):
    """A network that cannot be analysed to its end; `analysis` holds the maps before that."""

    analysis: Any = None


class Unsupported(Refused):
    """An operation without an exact rule: which, in which module, and what comes close to it."""


# ------------------------------------------------------------- tensors, as the rules see them


class Part(NamedTuple):
    """A factor of a tensor's dimension: `size` elements, along a grid's `axis` if not None.

    Without an axis, all its places count as one unit; `mixed` if they see different things.
    """

    size: int
    axis: int | None = None
    mixed: bool = False


Dimensions = tuple[tuple[Part, ...], ...]


@dataclass(frozen=True)
class Feature:
    """A tensor as the rules see it: its grid, and which dimensions hold which axes of it.

    A dimension is a tuple of parts, for after `flatten` one holds both axes. An axis of one unit,
    or broadcast, may be held by none. `pieces`, if known, are what lies side by side along one of
    the dimensions: that dimension, then sizes and features.
    """

    grid: Grid
    dimensions: Dimensions
    pieces: tuple[int, tuple[tuple[int, "Feature"], ...]] | None = None

    @property
    def shape(self) -> torch.Size:
        """Shape of the tensor."""
        return torch.Size(math.prod(part.size for part in parts) for parts in self.dimensions)

    def axes(self, dimension: int) -> set[int]:
        """Axes within `dimension`."""
        return {part.axis for part in self.dimensions[dimension] if part.axis is not None}

    @property
    def held(self) -> set[int]:
        """Axes within any dimension."""
        return {axis for dimension in range(len(self.dimensions)) for axis in self.axes(dimension)}

    def mixed(self, dimension: int) -> bool:
        """Whether places along `dimension` see different things, but count as one unit."""
        return any(part.mixed for part in self.dimensions[dimension])

    @property
    def alike(self) -> bool:
        """Whether all its elements see the same."""
        return not any(
            part.mixed or (part.axis is not None and part.size > 1)
            for parts in self.dimensions
            for part in parts
        )


def plain(shape: Sequence[int], axes: Sequence[int] = ()) -> Dimensions:
    """Dimensions of `shape`; the last of them are `axes`, in this order."""
    first = len(shape) - len(axes)
    return tuple(
        (Part(size, axes[d - first] if d >= first else None),) for d, size in enumerate(shape)
    )


class Operation(NamedTuple):
    """What a rule may know besides the arguments; `shapes` are those of the results."""

    name: str
    where: str
    shapes: list[torch.Size]
    through_gates: bool
    function: Callable

    @property
    def shape(self) -> torch.Size:
        """Shape of the first result."""
        return self.shapes[0]

    def unsupported(self, why: str) -> Unsupported:
        """The error to raise."""
        return Unsupported(f"{self.name} in {self.where} {why}.")

    def loose(self, why: str) -> str:
        """Why a field is but a bound."""
        return f"{self.name} in {self.where} {why}"


# ------------------------------------------------------------------------ small things shared


def as_tuple(value: int | Iterable[int], count: int = 2) -> tuple:
    """(y, x) of a number that may stand for both; or `count` numbers."""
    values = tuple(value) if isinstance(value, Iterable) else (value,)
    return values * count if len(values) == 1 else values


def features(values: Any) -> Iterator[Feature]:
    """All features in nested arguments."""
    if isinstance(values, Feature):
        yield values
    elif isinstance(values, tuple | list | dict):
        for value in values.values() if isinstance(values, dict) else values:
            yield from features(value)


def constants(values: Any) -> Iterator[Tensor]:
    """All other tensors in nested arguments."""
    if isinstance(values, Tensor):
        yield values
    elif isinstance(values, tuple | list | dict):
        for value in values.values() if isinstance(values, dict) else values:
            yield from constants(value)


def known(value: Any) -> bool:
    """Whether `value` holds numbers that training won't change."""
    return (
        isinstance(value, Tensor)
        and not value.is_meta
        and not isinstance(value, torch.nn.Parameter)
        and not getattr(value, "_learned", False)
    )


def dimensions_of(dim: Any, count: int) -> list[int]:
    """`dim` as PyTorch's functions take it: a number, several, or all."""
    if dim is None or (isinstance(dim, tuple | list) and not dim):
        return list(range(count))
    return sorted({d % max(count, 1) for d in (dim if isinstance(dim, tuple | list) else [dim])})


# ---------------------------------------------------------------------- one input, new steps

Steps = dict[int, tuple[Step, int]]  # for an axis: where it looks, and its number of units


def derive(input: Feature, dimensions: Dimensions, steps: Steps, geometry=None, loose=None):
    """`input`, its axes in `steps` looking elsewhere, the others as they were."""
    if not steps:
        return Feature(input.grid, dimensions)
    units = input.grid.units
    both = [steps.get(axis, (SAME, count)) for axis, count in enumerate(units)]
    ways = tuple(Look(step, ((axis, 1),)) for axis, (step, _) in enumerate(both))
    links = ((input.grid, ways),)
    return Feature(Grid(tuple(count for _, count in both), links, geometry, loose), dimensions)


def carry(op: Operation, input: Feature, sources: Iterable[int | None], shape=None) -> Dimensions:
    """Dimensions of the result; each comes from one of `input`'s, or (None) holds no axis."""
    dimensions = []
    for size, source in zip(op.shape if shape is None else shape, sources, strict=True):
        parts = () if source is None else input.dimensions[source]
        if math.prod(part.size for part in parts) != size or not parts:
            held = [part for part in parts if part.axis is not None]
            mixed = any(part.mixed for part in parts)
            parts = (Part(size, held[0].axis if len(held) == 1 else None, mixed),)
        dimensions.append(parts)
    return tuple(dimensions)


def collapse(op: Operation, input: Feature, dims: Iterable[int], sources, shape=None) -> Feature:
    """Whatever `dims` hold becomes one unit, which sees all of it; other dimensions stay."""
    dims = {d % len(input.shape) for d in dims}
    axes = set().union(*(input.axes(d) for d in dims))
    steps = {axis: (all_units(input.grid.units[axis]), 1) for axis in axes}
    dimensions = []
    for size, source in zip(op.shape if shape is None else shape, sources, strict=True):
        if source is None or source in dims:
            axes_left = sorted(input.axes(source)) if source is not None and size == 1 else []
            dimensions.append((Part(size, axes_left[0] if axes_left else None),))
        else:
            dimensions.append(input.dimensions[source])
    return derive(input, tuple(dimensions), steps)


def along(input: Feature, dims: Iterable[int]) -> Feature:
    """Each unit sees all that `dims` hold, as in a softmax, and itself."""
    axes = set().union(*(input.axes(d) for d in dims), set())
    units = input.grid.units
    dimensions = list(input.dimensions)
    for d in dims:  # places that saw different things see the same now
        dimensions[d] = tuple(part._replace(mixed=False) for part in dimensions[d])
    steps = {axis: (company(units[axis]), units[axis]) for axis in axes}
    return derive(input, tuple(dimensions), steps)


# --------------------------------------------------------------------- several inputs at once

Target = int | None  # the dimension of the result that an input's dimension goes to; None: summed


def bounds(parts: Sequence[Part]) -> list[int]:
    """How many elements lie to the right of each part's left edge."""
    return [*itertools.accumulate((part.size for part in reversed(parts)), lambda a, b: a * b)]


def common(edges: Iterable[int]) -> list[int] | None:
    """Sizes of the digits between `edges`, from the left; None if they do not divide."""
    ordered = sorted({1, *edges})
    if any(b % a for a, b in itertools.pairwise(ordered)):
        return None
    return [b // a for a, b in itertools.pairwise(ordered)][::-1]


def combine(
    op: Operation,
    inputs: Sequence[tuple[Feature, Sequence[Target]]],
    shape: Sequence[int] | None = None,
    *,
    single: Iterable[int] = (),
    offsets: dict[int, list[tuple[int, float, float]]] | None = None,
    loose: str | None = None,
) -> Feature:
    """Each element of the result sees those of every input at the same place.

    Each input has a target for each of its dimensions; along one without, an element sees all.
    A dimension of one element is broadcast. The result's axes are the digits that its dimensions
    must have for all inputs; a dimension in `single` has one axis. `offsets`, for such a
    dimension, say where each input lies along it: offset, and the places from low to high.
    """
    shape = tuple(op.shape if shape is None else shape)
    offsets = offsets or {}
    units: list[int] = []
    dimensions: list[tuple[Part, ...]] = []
    digits: list[list[tuple[int, int]]] = []  # of each dimension: (axis, scale) from the left
    for d, size in enumerate(shape):
        meeting = [
            f.dimensions[k]
            for f, targets in inputs
            for k, target in enumerate(targets)
            if target == d and (f.shape[k] == size or d in offsets)
        ]
        held = [parts for parts in meeting if any(p.axis is not None and p.size > 1 for p in parts)]
        mixed = any(part.mixed for parts in meeting for part in parts)
        keep_one = size == 1 and any(p.axis is not None for parts in meeting for p in parts)
        if not held and d not in single and not keep_one:
            dimensions.append((Part(size, None, mixed),))
            digits.append([])
            continue
        if mixed:
            loose = loose or op.loose("meets maps whose channels see different things")
        forced = d in single or keep_one or d in offsets
        sizes = None if forced else common(edge for parts in held for edge in bounds(parts))
        sizes = sizes or [size]
        scale, new_parts = size, []
        row: list[tuple[int, int]] = []
        for count in sizes:
            scale //= count
            has_axis = forced or any(
                p.axis is not None and p.size > 1 and low <= scale < low * p.size
                for parts in held
                for p, low in zip(parts, lows(parts), strict=True)
            )
            if has_axis:
                row.append((len(units), scale))
                new_parts.append(Part(count, len(units)))
                units.append(count)
            else:
                new_parts.append(Part(count))
        dimensions.append(tuple(new_parts))
        digits.append(row)
    links = []
    for n, (f, targets) in enumerate(inputs):
        ways = [Look(SAME, ())] * len(f.grid.units)
        for k, target in enumerate(targets):
            parts = f.dimensions[k]
            axes = [p for p in parts if p.axis is not None and p.size > 1]
            alone = bool(axes) and axes == [p for p in parts[:1] if p.axis is not None]
            for p, low in zip(parts, lows(parts), strict=True):
                if p.axis is None:
                    continue
                if target is None:
                    ways[p.axis] = Look(all_units(p.size), ())
                elif target in offsets:
                    offset, first, end = offsets[target][n]
                    step = digit(1, None, offset, first, end)
                    ways[p.axis] = Look(step, tuple(digits[target]))
                elif f.shape[k] == shape[target]:
                    ways[p.axis] = see(p, low, digits[target], dimensions[target], alone)
        links.append((f.grid, tuple(ways)))
    return Feature(Grid(tuple(units), tuple(links), None, loose), tuple(dimensions))


def lows(parts: Sequence[Part]) -> list[int]:
    """How many elements lie to the right of each part."""
    edges = bounds(parts)[::-1]
    return [edge // part.size for edge, part in zip(edges, parts, strict=True)]


def see(p: Part, low: int, digits, parts: Sequence[Part], alone: bool) -> Look:
    """How the axis of part `p`, above `low` elements, is seen from a dimension's `digits`."""
    size = math.prod(part.size for part in parts)
    if len(parts) == 1:  # one axis for all
        if p.size == size:
            return Look(SAME, tuple(digits))
        limits = {} if alone else {"low": 0, "high": size}
        return Look(digit(low, None if alone else p.size, **limits), tuple(digits))
    own = [(axis, scale // low) for axis, scale in digits if low <= scale < low * p.size]
    return Look(SAME, tuple(own))


def aligned(op: Operation, inputs: Iterable[Feature], shape=None) -> list:
    """Inputs with their targets as in broadcasting: the last dimensions match."""
    count = len(op.shape if shape is None else shape)
    return [(f, range(count - len(f.shape), count)) for f in inputs]


def on_axes(op: Operation, input: Feature, dims: Iterable[int]) -> Feature:
    """`input`, each of `dims` being one axis."""
    count = len(input.shape)
    dims = [d % count for d in dims]
    dimensions = list(input.dimensions)
    for d in dims:  # an axis of one unit that a flatten has let go
        axis = d - count + 2
        bare = input.shape[d] == 1 and not input.axes(d) and len(input.grid.units) == 2
        if bare and axis in AXES and input.grid.units[axis] == 1 and axis not in input.held:
            dimensions[d] = (Part(1, axis),)
    if all(len(dimensions[d]) == 1 and dimensions[d][0].axis is not None for d in dims):
        return Feature(input.grid, tuple(dimensions))
    return combine(op, [(input, range(count))], input.shape, single=dims)


def axis_along(input: Feature, dimension: int) -> int:
    """The one axis of `dimension`, as `on_axes` gives it one."""
    (part,) = input.dimensions[dimension]
    assert part.axis is not None, "on_axes was called before"
    return part.axis


def slide(
    op: Operation, input: Feature, dims: Sequence[int], steps: Iterable[Step], geometry=None,
    channels: Steps | None = None,
) -> Feature:  # fmt: skip
    """Looks along `dims`, the last ones, with a step each."""
    input = on_axes(op, input, dims)
    sized = dict(channels or {})
    dimensions = [*carry(op, input, [*range(len(op.shape) - len(dims)), *[None] * len(dims)])]
    for d, step in zip(dims, steps, strict=True):
        axis = axis_along(input, d)
        sized[axis] = (step, op.shape[d])
        dimensions[d] = (Part(op.shape[d], axis),)
    return derive(input, tuple(dimensions), sized, geometry)


def broadcast_dimensions(input: Feature, shape: Sequence[int]) -> Dimensions:
    """Dimensions of `input` broadcast to `shape`."""
    more = len(shape) - len(input.shape)
    return tuple(
        input.dimensions[d - more] if d >= more and input.shape[d - more] == size else (Part(size),)
        for d, size in enumerate(shape)
    )


def straight(input: Feature):
    """A link from every unit to itself."""
    ways = tuple(Look(SAME, ((axis, 1),)) for axis in range(len(input.grid.units)))
    return ((input.grid, ways),)


def mix(op: Operation, *values, **more) -> tuple[Feature, ...]:
    """One unit, which sees what all units of all inputs see, in each result."""
    inputs = [(f, [None] * len(f.shape)) for f in features((values, more))]
    unit = combine(op, inputs, ())
    return tuple(Feature(unit.grid, plain(shape)) for shape in op.shapes)
