"""Where the units of each PyTorch operation look: one rule per operation, in one table, `RULES`.

Lesson: Receptive fields.
"""

import difflib
import itertools
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from cifarlab.receptive_field._taps import (
    ABSENT,
    AXES,
    SAME,
    Grid,
    Look,
    Step,
    antialiased,
    blocks,
    company,
    digit,
    interpolated,
    nearest,
    so_far,
    table,
    transposed_window,
    whole,
    window,
)


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
        return {part.axis for part in self.dimensions[dimension]} - {None}

    @property
    def held(self) -> set[int]:
        """Axes within any dimension."""
        return {part.axis for parts in self.dimensions for part in parts} - {None}

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


def pair(value: int | Iterable[int], count: int = 2) -> tuple:
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
            mixed = bool(parts) and input.mixed(source)
            parts = (Part(size, held[0].axis if len(held) == 1 else None, mixed),)
        dimensions.append(parts)
    return tuple(dimensions)


def collapse(op: Operation, input: Feature, dims: Iterable[int], sources, shape=None) -> Feature:
    """Whatever `dims` hold becomes one unit, which sees all of it; other dimensions stay."""
    dims = {d % len(input.shape) for d in dims}
    axes = set().union(*(input.axes(d) for d in dims))
    steps = {axis: (whole(input.grid.units[axis]), 1) for axis in axes}
    dimensions = []
    for size, source in zip(op.shape if shape is None else shape, sources, strict=True):
        if source is None or source in dims:
            kept = sorted(input.axes(source)) if source is not None and size == 1 else []
            dimensions.append((Part(size, kept[0] if kept else None),))
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


def bounds(parts: Iterable[Part]) -> list[int]:
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
        parts = [
            f.dimensions[k]
            for f, targets in inputs
            for k, target in enumerate(targets)
            if target == d and (f.shape[k] == size or d in offsets)
        ]
        held = [each for each in parts if any(p.axis is not None and p.size > 1 for p in each)]
        mixed = any(part.mixed for each in parts for part in each)
        keep_one = size == 1 and any(p.axis is not None for each in parts for p in each)
        if not held and d not in single and not keep_one:
            dimensions.append((Part(size, None, mixed),))
            digits.append([])
            continue
        if mixed:
            loose = loose or op.loose("meets maps whose channels see different things")
        forced = d in single or keep_one or d in offsets
        sizes = None if forced else common(edge for each in held for edge in bounds(each))
        sizes = sizes or [size]
        scale, made = size, []
        row: list[tuple[int, int]] = []
        for count in sizes:
            scale //= count
            asked = forced or any(
                p.axis is not None and p.size > 1 and low <= scale < low * p.size
                for each in held
                for p, low in zip(each, lows(each), strict=True)
            )
            if asked:
                row.append((len(units), scale))
                made.append(Part(count, len(units)))
                units.append(count)
            else:
                made.append(Part(count))
        dimensions.append(tuple(made))
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
                    ways[p.axis] = Look(whole(p.size), ())
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


def see(p: Part, low: int, digits, made: Sequence[Part], alone: bool) -> Look:
    """How the axis of part `p`, above `low` elements, is seen from a dimension's `digits`."""
    size = math.prod(part.size for part in made)
    if len(made) == 1:  # one axis for all
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
        if input.shape[d] == 1 and not input.axes(d) and len(input.grid.units) == 2:
            if axis in AXES and input.grid.units[axis] == 1 and axis not in input.held:
                dimensions[d] = (Part(1, axis),)
    if all(len(dimensions[d]) == 1 and dimensions[d][0].axis is not None for d in dims):
        return Feature(input.grid, tuple(dimensions))
    return combine(op, [(input, range(count))], input.shape, single=dims)


def slide(
    op: Operation, input: Feature, dims: Sequence[int], steps: Iterable[Step], geometry=None,
    channels: Steps | None = None,
) -> Feature:  # fmt: skip
    """Looks along `dims`, the last ones, with a step each."""
    input = on_axes(op, input, dims)
    sized = dict(channels or {})
    dimensions = [*carry(op, input, [*range(len(op.shape) - len(dims)), *[None] * len(dims)])]
    for d, step in zip(dims, steps, strict=True):
        axis = input.dimensions[d][0].axis
        sized[axis] = (step, op.shape[d])
        dimensions[d] = (Part(op.shape[d], axis),)
    return derive(input, tuple(dimensions), sized, geometry)


@dataclass(frozen=True)
class Map:
    """A tensor as a feature map: a grid of height and width, and where they lie in its shape."""

    grid: Grid
    layout: tuple[str, ...]


def as_map(input: Feature) -> Map:
    """`input` as a feature map: axis 0 is its height, axis 1 its width, and there is no other.

    A tensor (..., H, W) of four or more dimensions is a map, and so is (N, H, W, C); of a smaller
    one the units are laid out as they were when it was flattened. Units at the same place of
    different maps count as one, which sees what all of them see.
    """
    shape, units = input.shape, input.grid.units
    count = len(shape)
    layout = [str(size) for size in shape]
    if units == (1, 1) and not any(shape[d] > 1 for d in range(count)[-2:] if count >= 4):
        return Map(input.grid, tuple(layout))
    op = Operation("the map", "", [shape], False, as_map)
    holding = [d for d in range(count) if any(units[axis] > 1 for axis in input.axes(d))]
    if count >= 4:
        channels_last = count == 4 and 1 in holding and 3 not in holding
        dims = (1, 2) if channels_last else (count - 2, count - 1)
    else:
        dims = tuple([d for d in holding if d] or holding)[-2:]
        if len(dims) == 1:
            (d,) = dims
            parts = [part for part in input.dimensions[d] if part.size > 1]
            if len(parts) == 2 and all(part.axis is not None for part in parts):
                layout[d] = "height*width"
                torn = reshape(
                    op, input, shape=(*shape[:d], *(p.size for p in parts), *shape[d + 1 :])
                )
                return Map(as_map_of(op, torn, (d, d + 1)), tuple(layout))
    for d, name in zip(dims, ("height", "width"), strict=False):
        layout[d] = name
    return Map(as_map_of(op, input, dims), tuple(layout))


def as_map_of(op: Operation, input: Feature, dims: Sequence[int]) -> Grid:
    """A grid whose units are the places along `dims`, two at most."""
    own = [[part.axis for part in input.dimensions[d]] for d in dims]
    if len(input.grid.units) == 2 and own == [[0], [1]]:
        return input.grid
    targets = [dims.index(d) if d in dims else None for d in range(len(input.shape))]
    shape = [*(input.shape[d] for d in dims), 1, 1][:2]
    return combine(op, [(input, targets)], shape, single=AXES).grid


# ------------------------------------------------------------- any rearrangement, by asking it


def rearrange(op: Operation, place: Callable, inputs: Sequence[Feature]) -> Feature:
    """What `place` makes of numbered elements: for all that only moves them.

    `place` takes a tensor for each of the inputs. For each axis of each input it is run on the
    numbers of the units, from 1; a 0 in the result has come from nowhere.
    """
    shape = tuple(op.shape)
    seen: list[tuple[int, int, np.ndarray]] = []
    for n, input in enumerate(inputs):
        for axis in [a for a in sorted(input.held) if input.grid.units[a] > 1] or [None]:
            tensors = [torch.zeros(other.shape, dtype=torch.int64) for other in inputs]
            tensors[n] = numbers(input, axis)
            seen.append((n, axis, place(*tensors).reshape(shape).numpy() - 1))
    deciding = [
        d
        for d, size in enumerate(shape)
        if size > 1 and any((array != array.take([0], d)).any() for _, _, array in seen)
    ]
    units = tuple(shape[d] for d in deciding)
    axes = {d: n for n, d in enumerate(deciding)}
    ways = [[Look(SAME, ())] * len(input.grid.units) for input in inputs]
    absent: list[tuple[int, Look]] = []
    for n, axis, array in seen:
        own = [d for d in deciding if (array != array.take([0], d)).any()]
        listed = array[tuple(slice(None) if d in own else 0 for d in range(len(shape)))]
        scales = [math.prod(shape[d] for d in own[k + 1 :]) for k in range(len(own))]
        count = inputs[n].grid.units[axis] if axis is not None else 1
        look = Look(
            listing(listed.ravel(), count), tuple(zip(map(axes.get, own), scales, strict=True))
        )
        if axis is None:
            absent.append((n, look))
        else:
            ways[n][axis] = look
    sources = [input.grid for input in inputs]
    for n, look in absent:  # one unit: here it is seen, there it is not
        if look.digits:
            ways[n] = [look]
            spread = [Look(SAME, ())] * len(sources[n].units)
            sources[n] = Grid((1,), ((sources[n], tuple(spread)),))
    mixed = any(input.mixed(d) for input in inputs for d in range(len(input.shape)))
    fewer = math.prod(shape) < max(math.prod(input.shape) for input in inputs)
    loose = op.loose("takes some of what sees different things") if mixed and fewer else None
    links = tuple((grid, tuple(look)) for grid, look in zip(sources, ways, strict=True))
    dimensions = tuple(
        (Part(size, axes.get(d), mixed and d not in axes),) for d, size in enumerate(shape)
    )
    return Feature(Grid(units, links, None, loose), dimensions)


def numbers(input: Feature, axis: int | None) -> Tensor:
    """For each element of a tensor, the unit on `axis` that it belongs to, from 1."""
    parts = [part for parts in input.dimensions for part in parts]
    count = torch.ones([part.size for part in parts], dtype=torch.int64)
    for d, part in enumerate(parts):
        if axis is not None and part.axis == axis:
            shape = [-1 if d == other else 1 for other in range(len(parts))]
            count = count + torch.arange(part.size).view(shape)
    return count.reshape(input.shape)


def listing(units: np.ndarray, count: int) -> Step:
    """A step to `units` of `count` (below 0: none); as a window, which goes on, if it is one."""
    inside = np.flatnonzero(units >= 0)
    if inside.size > 1:
        first, stride = inside[0], units[inside[1]] - units[inside[0]]
        line = units[first] + (np.arange(len(units)) - first) * stride
        if (np.where((line >= 0) & (line < count), line, -1) == units).all():
            return window(stride=int(stride), padding=-int(line[0]))
    return table(np.where(units < 0, ABSENT, units)[:, None])


# ------------------------------------------------------------------------------------- rules
# Each takes the arguments of the PyTorch function it is for, with Features in place of tensors.


# ---------------------------------------------------------------------------- element by element


def join(op, *values, **more):
    """All inputs, element by element.  Source: "Broadcasting semantics" of PyTorch."""
    inputs = list(features((values, more)))
    if len(inputs) == 1:
        (input,) = inputs
        if input.shape == op.shape:
            return input
        return Feature(input.grid, spread(input, op.shape))
    return combine(op, aligned(op, inputs), loose=hidden(op, values, more))


def spread(input: Feature, shape: Sequence[int]) -> Dimensions:
    """Dimensions of `input` broadcast to `shape`."""
    more = len(shape) - len(input.shape)
    return tuple(
        input.dimensions[d - more] if d >= more and input.shape[d - more] == size else (Part(size),)
        for d, size in enumerate(shape)
    )


def hidden(op: Operation, values: Any, more: dict) -> str | None:
    """Why a product or choice with a constant may see less, if it may: it has zeros, or a mask."""
    for value in filter(known, constants((values, more))):
        if value.numel() > 1 and value.dtype == torch.bool and value.any() and not value.all():
            return op.loose("hides units behind a mask")
        if value.is_floating_point() and value.numel() > 1:
            if op.name in SCALED and (value == 0).any():
                return op.loose("multiplies with zeros")
            if op.name in ("add", "sub") and value.min() < -1e30:
                return op.loose("hides units behind a mask")
    return None


def masked(op, *values, **more):
    """Element by element, where a constant may hide some.  Source: torch.where."""
    result, why = join(op, *values, **more), hidden(op, values, more)
    if why and not result.grid.loose:
        result = replace(result, grid=Grid(result.grid.units, straight(result), None, why))
    return result


def straight(input: Feature):
    """A link from every unit to itself."""
    ways = tuple(Look(SAME, ((axis, 1),)) for axis in range(len(input.grid.units)))
    return ((input.grid, ways),)


def multiply(op, *factors, **more):
    """A product; `through_gates` leaves out what scales a whole map.

    Source: the gate of Hu et al. 2018, "Squeeze-and-Excitation Networks", arXiv:1709.01507.
    """
    inputs = list(features((factors, more)))
    gated = [each for each in inputs if not each.alike]
    if op.through_gates and 0 < len(gated) < len(inputs):
        return join(op, gated)
    return masked(op, *factors, **more)


def addcmul(op, input, tensor1, tensor2, *options, **more):
    """Source: torch.addcmul and addcdiv: input + value * tensor1 * tensor2."""
    product = multiply(op, tensor1, tensor2) if any(features((tensor1, tensor2))) else None
    return join(op, input, product)


def glu(op, input, dim=-1):
    """Source: torch.nn.functional.glu: one half gates the other."""
    dim, half = dim % len(input.shape), op.shape[dim]
    return join(op, cut(op, input, dim, 0, half), cut(op, input, dim, half, half))


def type_like(op, input, *others, **more):
    """What only takes a shape or type from `others`.  Source: torch.Tensor.expand_as, type_as."""
    return join(op, input)


# ------------------------------------------------------------------------ windows over a map


def conv(op, input, weight, bias=None, stride=1, padding=0, dilation=1, groups=1, **more):
    """A convolution of any number of dimensions, transposed or not.

    Taps that a fixed mask sets to zero are none. Source: "Shape" of torch.nn.Conv2d; where "same"
    is odd, the greater half comes behind.
    """
    transposed = more.get("transposed", False)
    kernel = tuple(weight.shape[2:])
    n = len(kernel)
    stride, dilation = pair(stride, n), pair(dilation, n)
    if padding == "same":
        padding = [d * (k - 1) // 2 for k, d in zip(kernel, dilation, strict=True)]
    padding = pair(0 if padding == "valid" else padding, n)
    make = transposed_window if transposed else window
    dims = range(-n, 0)
    input = on_axes(op, input, [*dims, *([-n - 1] if input.axes(-n - 1) else [])])
    channels = mixing(input, -n - 1, groups, op.shape[-n - 1])
    geometry = (kernel, stride, dilation)
    steps = [make(*each) for each in zip(kernel, stride, padding, dilation, strict=True)]
    mixed = groups > 1 and input.mixed(-n - 1)
    result = slide(op, input, dims, steps, geometry, channels)
    dimensions = list(result.dimensions)
    axis = input.dimensions[-n - 1][0].axis
    keep = axis if axis in channels and channels[axis][1] > 1 else None
    dimensions[-n - 1] = (Part(op.shape[-n - 1], keep, mixed and keep is None),)
    result = Feature(result.grid, tuple(dimensions))
    fixed = isinstance(weight, Tensor) and not weight.is_meta
    if fixed and not isinstance(weight, torch.nn.Parameter):  # weight * mask
        taps = (weight != 0).flatten(0, 1).any(0)
    else:
        taps = None
    if taps is not None and taps.any() and not taps.all():
        result = replace(
            result, grid=holed(result.grid, [d + len(op.shape) for d in dims], result, taps.numpy())
        )
    return result


def holed(grid: Grid, dims, result: Feature, taps: np.ndarray) -> Grid:
    """A convolution's `grid`, looking at `taps` only, a mask of the kernel's shape."""
    axes = [result.dimensions[d][0].axis for d in dims]
    ((source, ways),) = grid.links
    rows: dict[bytes, list[tuple[int, ...]]] = {}
    for row in np.ndindex(taps.shape[:-1]):
        rows.setdefault(taps[row].tobytes(), []).append(row)
    links = []
    for row in np.argwhere(taps.any(axis=-1)):  # a link for each line along the last axis
        looks = list(ways)
        for axis, chosen in zip(axes, [*([at] for at in row), taps[tuple(row)]], strict=True):
            step = ways[axis].step
            index = np.flatnonzero(chosen) if chosen is taps[tuple(row)] else np.array(chosen)
            looks[axis] = ways[axis]._replace(
                step=Step(partial(taps_chosen, step=step, index=index), step.border)
            )
        links.append((source, tuple(looks)))
    return Grid(grid.units, tuple(links), grid.geometry, grid.loose)


def taps_chosen(outputs: np.ndarray, step: Step, index: np.ndarray) -> np.ndarray:
    return step.taps(outputs)[..., index]


def mixing(input: Feature, dim: int, groups: int, outputs: int) -> Steps:
    """How output channels look along the axis that the channels hold, if they hold one."""
    if not input.axes(dim):
        return {}
    (part,) = input.dimensions[dim]
    if groups == 1:
        return {part.axis: (whole(part.size), 1)}
    listed = np.arange(part.size).reshape(groups, -1).repeat(outputs // groups, axis=0)
    return {part.axis: (table(listed), outputs)}


def conv_transpose(
    op, input, weight, bias=None, stride=1, padding=0, output_padding=0, groups=1, dilation=1
):
    """Source: "Shape" of torch.nn.ConvTranspose2d."""
    return conv(op, input, weight, bias, stride, padding, dilation, groups, transposed=True)


def convolution(
    op, input, weight, bias, stride, padding, dilation, transposed, output_padding, groups, *rest
):
    """Source: aten::convolution in PyTorch's native_functions.yaml."""
    return conv(op, input, weight, bias, stride, padding, dilation, groups, transposed=transposed)


def window_count(op: Operation) -> int:
    """How many dimensions an operation's name says: 2 for max_pool2d."""
    return int(
        next(part[-2] for part in op.name.split("_") if part.endswith("d") and len(part) > 1)
    )


def pool(op, input, kernel_size, stride=None, padding=0, dilation=1, *options, **more):
    """Source: "Shape" of torch.nn.MaxPool2d; AvgPool2d has no dilation."""
    n = window_count(op)
    dilation = 1 if "max" not in op.name else dilation
    stride = stride if isinstance(stride, int) else stride or kernel_size
    numbers = [pair(value, n) for value in (kernel_size, stride, padding, dilation)]
    geometry = (numbers[0], numbers[1], numbers[3])
    steps = [window(*each) for each in zip(*numbers, strict=True)]
    return (slide(op, input, range(-n, 0), steps, geometry),) * len(op.shapes)


def lp_pool(op, input, norm_type, kernel_size, stride=None, ceil_mode=False):
    """Source: torch.nn.functional.lp_pool2d."""
    return pool(op, input, kernel_size, stride)


def max_unpool(op, input, indices, kernel_size, stride=None, padding=0, output_size=None):
    """Each unit may go to any place of its window.  Source: torch.nn.MaxUnpool2d."""
    n = window_count(op)
    numbers = [pair(v, n) for v in (kernel_size, stride or kernel_size, padding, 1)]
    steps = [transposed_window(*each) for each in zip(*numbers, strict=True)]
    inputs = [slide(op, each, range(-n, 0), steps) for each in features((input, indices))]
    return join(op, inputs)


def adaptive_pool(op, input, output_size, return_indices=False):
    """Source: start_index and end_index in PyTorch's aten/src/ATen/native/AdaptivePooling.h."""
    n = window_count(op)
    steps = list(map(blocks, input.shape[-n:], op.shape[-n:]))
    return (slide(op, input, range(-n, 0), steps),) * len(op.shapes)


def interpolate(
    op, input, size=None, scale_factor=None, mode="nearest", align_corners=None,
    recompute_scale_factor=None, antialias=False,
):  # fmt: skip
    """Source: torch.nn.Upsample; indices in PyTorch's aten/src/ATen/native/UpSample.h."""
    n = len(input.shape) - 2
    resize = antialiased if antialias else interpolated
    linear = partial(resize, corners=bool(align_corners), kernel=2)
    modes = {
        "nearest": partial(nearest, exact=False),
        "nearest-exact": partial(nearest, exact=True),
        **dict.fromkeys(["linear", "bilinear", "trilinear"], linear),
        "bicubic": partial(resize, corners=bool(align_corners), kernel=4),
        "area": lambda units, count, scale: blocks(units, count),
    }
    if mode not in modes:
        raise op.unsupported(f"has no rule for mode {mode!r}")
    given = pair(None if recompute_scale_factor else scale_factor, n)
    steps = map(modes[mode], input.shape[-n:], op.shape[-n:], given)
    return slide(op, input, range(-n, 0), steps)


def pixel_shuffle(op, input, upscale_factor):
    """Source: torch.nn.PixelShuffle. Channels become neighbours."""
    r, shape = upscale_factor, input.shape
    lead, (c, h, w) = shape[:-3], shape[-3:]
    n = len(lead)
    torn = reshape(op, input, shape=(*lead, c // r**2, r, r, h, w))
    moved = permute(op, torn, (*range(n), n, n + 3, n + 1, n + 4, n + 2))
    return reshape(op, moved)


def pixel_unshuffle(op, input, downscale_factor):
    """Source: torch.nn.PixelUnshuffle. Neighbours become channels."""
    r, shape = downscale_factor, input.shape
    lead, (c, h, w) = shape[:-3], shape[-3:]
    n = len(lead)
    torn = reshape(op, input, shape=(*lead, c, h // r, r, w // r, r))
    moved = permute(op, torn, (*range(n), n, n + 2, n + 4, n + 1, n + 3))
    return reshape(op, moved)


def pad(op, input, pad, mode="constant", value=None):
    """Source: torch.nn.functional.pad: pairs (before, after), the last dimension first."""
    count = len(input.shape)
    before = {
        count - 1 - n: (low, high)
        for n, (low, high) in enumerate(zip(pad[::2], pad[1::2], strict=True))
    }
    held = [d for d, sides in before.items() if any(sides) and input.axes(d)]
    unheld = [d for d, sides in before.items() if any(sides) and not input.axes(d)]
    if len(input.shape) == 4 and set(before) <= {2, 3}:
        held = sorted({2, 3} & {*held, *unheld}) or held
        unheld = []
    input = on_axes(op, input, held)
    steps, dimensions = {}, list(carry(op, input, range(count)))
    for d in held:
        axis = input.dimensions[d][0].axis
        steps[axis] = (window(padding=before[d][0], border=mode), op.shape[d])
        dimensions[d] = (Part(op.shape[d], axis),)
    return derive(input, tuple(dimensions), steps)


def unfold(op, input, kernel_size, dilation=1, padding=0, stride=1):
    """Windows laid out: (N, channels * taps, windows).  Source: torch.nn.Unfold."""
    if op.function in (Tensor.unfold, torch.ops.aten.unfold.default):
        return sliding_windows(op, input, kernel_size, dilation, padding)
    numbers = [pair(v) for v in (kernel_size, stride, padding, dilation)]
    counts = [
        (size + 2 * p - d * (k - 1) - 1) // s + 1
        for size, k, s, p, d in zip(input.shape[-2:], *numbers, strict=True)
    ]
    input = windows(op, input, [-2, -1], *numbers, counts)  # (N, C, rows, columns, k, k)
    return reshape(op, permute(op, input, (0, 1, 4, 5, 2, 3)))


def windows(op, input, dims, kernel, stride, padding, dilation, counts) -> Feature:
    """`input`, each of `dims` being the windows along it, with taps behind: (..., k, k)."""
    n = len(input.shape)
    dims = [d % n for d in dims]
    input = on_axes(op, input, dims)
    units, dimensions = list(input.grid.units), list(input.dimensions)
    ways = [Look(SAME, ((axis, 1),)) for axis in range(len(units))]
    for d, k, s, p, gap, count in zip(dims, kernel, stride, padding, dilation, counts, strict=True):
        axis = input.dimensions[d][0].axis
        units[axis] = count
        ways[axis] = Look(window(padding=p), ((axis, s), (len(units), gap)))
        dimensions[d] = (Part(count, axis),)
        dimensions.append((Part(k, len(units)),))
        units.append(k)
    return Feature(Grid(tuple(units), ((input.grid, tuple(ways)),)), tuple(dimensions))


def sliding_windows(op, input, dimension, size, step) -> Feature:
    """Source: torch.Tensor.unfold: windows along one dimension, their taps behind all others."""
    count = op.shape[dimension % len(input.shape)] if len(input.shape) else 1
    return windows(op, input, [dimension], [size], [step], [0], [1], [count])


def fold(op, input, output_size, kernel_size, dilation=1, padding=0, stride=1):
    """Windows added up where they overlap.  Source: torch.nn.Fold."""
    kernel, stride, padding, dilation = (pair(v) for v in (kernel_size, stride, padding, dilation))
    sizes = op.shape[-2:]
    counts = [
        (size + 2 * p - d * (k - 1) - 1) // s + 1
        for size, k, s, p, d in zip(sizes, kernel, stride, padding, dilation, strict=True)
    ]
    shape = (
        (input.shape[0], -1, *kernel, *counts) if len(input.shape) == 3 else (-1, *kernel, *counts)
    )
    channels = math.prod(input.shape) // math.prod([*kernel, *counts])
    if len(input.shape) == 3:
        channels //= input.shape[0]
    shape = tuple(channels if size == -1 else size for size in shape)
    torn = reshape(op, input, shape=shape)
    n = len(shape)
    moved = permute(op, torn, (*range(n - 4), n - 4, n - 2, n - 3, n - 1))
    merged = reshape(op, moved, shape=(*shape[:-4], kernel[0] * counts[0], kernel[1] * counts[1]))
    steps = []
    for size, k, s, p, d, count in zip(
        sizes, kernel, stride, padding, dilation, counts, strict=True
    ):
        windows_of = np.arange(size)[:, None] + p - np.arange(k) * d
        fits = (windows_of % s == 0) & (windows_of >= 0) & (windows_of // s < count)
        steps.append(table(np.where(fits, np.arange(k) * count + windows_of // s, ABSENT)))
    return slide(op, merged, [-2, -1], steps)


def grid_sample(op, input, grid, mode="bilinear", padding_mode="zeros", align_corners=None):
    """A place of `grid` reads the 4 units around it (16 if bicubic); if it is of the image, any.

    Source: torch.nn.functional.grid_sample; aten/src/ATen/native/GridSampler.h.
    """
    if isinstance(grid, Feature):
        anywhere = [(input, (0, 1, None, None))] if isinstance(input, Feature) else []
        return combine(op, [*anywhere, (grid, (0, 2, 3, None))])
    if len(input.shape) != 4 or padding_mode != "zeros" or not known(grid) or mode == "bicubic":
        wide = collapse(op, input, [-2, -1], [0, 1, None, None][: len(op.shape)])
        loose = op.loose("may read any unit")
        return replace(wide, grid=Grid(wide.grid.units, straight(wide), None, loose))
    input = on_axes(op, input, [-2, -1])
    height, width = op.shape[-2:]
    units, ways = [], []
    loose = None if len(grid) == 1 else op.loose("samples each image at other places")
    own = {input.dimensions[d][0].axis: d for d in (-2, -1)}
    others = [axis for axis in range(len(input.grid.units)) if axis not in own]
    units = [*(input.grid.units[axis] for axis in others), height, width]
    renamed = {axis: n for n, axis in enumerate(others)}
    last = ((len(others), width), (len(others) + 1, 1))
    for axis, size in enumerate(input.grid.units):
        if axis not in own:
            ways.append(Look(SAME, ((renamed[axis], 1),)))
            continue
        at = grid[0, ..., own[axis] + 2 if own[axis] == -1 else 1]
        at = grid[0, ..., 0 if own[axis] == -1 else 1].double().flatten()
        place = (at + 1) * (size - 1) / 2 if align_corners else ((at + 1) * size - 1) / 2
        if mode == "nearest":
            taps = place.round()[:, None]
        else:
            taps = torch.stack([place.floor(), place.floor() + 1], 1)
            hit = place == place.floor()
            taps[hit, 1] = -1
        listed = taps.clamp(-1, size).long().numpy()
        listed = np.where((listed < 0) | (listed >= size), ABSENT, listed)
        ways.append(Look(table(listed), last))
    dimensions = [
        tuple(p if p.axis is None else p._replace(axis=renamed[p.axis]) for p in parts)
        for parts in input.dimensions[:2]
    ]
    dimensions += [(Part(height, len(others)),), (Part(width, len(others) + 1),)]
    return Feature(Grid(tuple(units), ((input.grid, tuple(ways)),), None, loose), tuple(dimensions))


# ---------------------------------------------------------------- cut, put together, laid out


def cut(
    op: Operation, input: Feature, dim: int, first: int, count: int, stride: int = 1
) -> Feature:
    """`count` places along `dim`, from `first`."""
    size = input.shape[dim]
    parts = input.dimensions[dim]
    if (first, count, stride) == (0, size, 1):
        return input
    if input.pieces and input.pieces[0] == dim and stride == 1:
        return cut_pieces(op, input, dim, first, count)
    dimensions = list(input.dimensions)
    if not input.axes(dim):
        dimensions[dim] = (Part(count, None, input.mixed(dim)),)
        result = Feature(input.grid, tuple(dimensions))
        if not input.mixed(dim):
            return result
        loose = op.loose("takes some of the channels of maps that see different things")
        return replace(result, grid=Grid(input.grid.units, straight(input), None, loose))
    inner = size // parts[0].size
    if len(parts) > 1 and stride == 1 and first % inner == 0 and count % inner == 0:
        outer = replace(input, dimensions=(*dimensions[:dim], parts[:1], *dimensions[dim + 1 :]))
        outer = replace(outer, pieces=None)
        result = cut(op, outer, dim, first // inner, count // inner)
        kept = list(result.dimensions)
        kept[dim] = (*kept[dim], *parts[1:])
        return Feature(result.grid, tuple(kept))
    input = on_axes(op, input, [dim])
    axis = input.dimensions[dim][0].axis
    dimensions = list(input.dimensions)
    dimensions[dim] = (Part(count, axis),)
    return derive(input, tuple(dimensions), {axis: (window(stride=stride, padding=-first), count)})


def cut_pieces(op: Operation, input: Feature, dim: int, first: int, count: int) -> Feature:
    """As `cut`, of what is known to lie side by side."""
    start, chosen = 0, []
    for size, piece in input.pieces[1]:
        low, high = max(first, start), min(first + count, start + size)
        if low < high:
            chosen.append((high - low, cut(op, piece, dim, low - start, high - low)))
        start += size
    return side_by_side(op, chosen, dim) if len(chosen) > 1 else chosen[0][1]


def side_by_side(op: Operation, chosen: list[tuple[int, Feature]], dim: int) -> Feature:
    """Features along a dimension in which none of them has an axis, as one that sees all."""
    shape = list(chosen[0][1].shape)
    shape[dim] = sum(size for size, _ in chosen)
    inputs = [f for _, f in chosen]
    targets = range(len(shape))
    if (
        all(f.grid is inputs[0].grid for f in inputs)
        and len({(*f.dimensions[:dim], *f.dimensions[dim + 1 :]) for f in inputs}) == 1
    ):
        dimensions = list(inputs[0].dimensions)
        dimensions[dim] = (Part(shape[dim], None, any(f.mixed(dim) for f in inputs)),)
        return Feature(inputs[0].grid, tuple(dimensions))
    result = combine(op, [(f, targets) for f in inputs], shape)
    dimensions = list(result.dimensions)
    dimensions[dim] = (Part(shape[dim], None, True),)
    return Feature(result.grid, tuple(dimensions), (dim, tuple(chosen)))


def cat(op, tensors, dim=0):
    """Source: torch.cat. Channels side by side count as one unit; rows side by side do not."""
    tensors = [each for each in tensors if not (isinstance(each, Tensor) and each.numel() == 0)]
    dim %= len(op.shape)
    inputs = list(features(tensors))
    if not any(f.grid.units[a] > 1 for f in inputs for a in f.axes(dim)):
        if len(inputs) == len(tensors):
            return side_by_side(op, [(f.shape[dim], f) for f in inputs], dim)
        # Among constants, which see nothing.
        rest = [(f, [*range(dim), dim, *range(dim + 1, len(op.shape))]) for f in inputs]
        result = combine(op, rest) if len(inputs) > 1 else inputs[0]
        dimensions = list(result.dimensions)
        dimensions[dim] = (Part(op.shape[dim], None, True),)
        return Feature(result.grid, tuple(dimensions))
    several = any(len(f.dimensions[dim]) > 1 for f in inputs)
    inputs = [on_axes(op, f, [dim]) for f in inputs]
    places, start, ours = [], 0, iter(inputs)
    for each in tensors:
        size = each.shape[dim]
        if isinstance(each, Feature):
            next(ours)
            places.append([start, start, start + size])
        start += size
    if not several:  # beyond the ends, and over constants, a map goes on
        places[0][1], places[-1][2] = -math.inf, math.inf
    targets = range(len(op.shape))
    return combine(
        op, [(f, targets) for f in inputs], single=[dim], offsets={dim: list(map(tuple, places))}
    )


def stack(op, tensors, dim=0):
    """Source: torch.stack."""
    dim %= len(op.shape)

    def lifted(each):
        if isinstance(each, Tensor):
            return each.unsqueeze(dim)
        return Feature(each.grid, (*each.dimensions[:dim], (Part(1),), *each.dimensions[dim:]))

    return cat(op, [lifted(each) for each in tensors], dim)


def broadcast(op, *tensors, **more):
    """Source: torch.meshgrid is of constants; torch.broadcast_tensors."""
    given = tensors[0] if len(tensors) == 1 and isinstance(tensors[0], tuple | list) else tensors
    return tuple(
        Feature(f.grid, spread(f, shape)) if isinstance(f, Feature) else None
        for f, shape in zip(given, op.shapes, strict=True)
    )


def pieces_of(op, input, sizes: Sequence[int], dim: int) -> tuple[Feature, ...]:
    """`input` cut along `dim` into pieces of `sizes`."""
    starts = [0, *itertools.accumulate(sizes)]
    return tuple(
        cut(op, input, dim, start, size) for start, size in zip(starts, sizes, strict=False)
    )


def chunk(op, input, amount=None, dim=0, **more):
    """Source: torch.chunk, torch.split and torch.tensor_split."""
    dim %= len(input.shape)
    return pieces_of(op, input, [shape[dim] for shape in op.shapes], dim)


def unbind(op, input, dim=0):
    """Source: torch.unbind: each place along `dim`."""
    dim %= len(input.shape)
    return tuple(drop(each, dim) for each in pieces_of(op, input, [1] * len(op.shapes), dim))


def drop(input: Feature, dim: int) -> Feature:
    """`input` without a dimension of one element."""
    return Feature(input.grid, (*input.dimensions[:dim], *input.dimensions[dim + 1 :]))


def select(op, input, dim, index):
    """Source: torch.select."""
    dim %= len(input.shape)
    return drop(cut(op, input, dim, int(index) % input.shape[dim], 1), dim)


def slice_tensor(op, input, dim=0, start=None, end=None, step=1):
    """Source: aten::slice in PyTorch's native_functions.yaml."""
    dim %= len(input.shape)
    first, end, step = slice(start, end, step).indices(input.shape[dim])
    return cut(op, input, dim, first, op.shape[dim], step)


def narrow(op, input, dim, start, length):
    """Source: torch.narrow."""
    dim %= len(input.shape)
    return cut(op, input, dim, int(start) % input.shape[dim], length)


def getitem(op, input, index):
    """Source: NumPy's indexing; what is not slices, numbers, None and ... is asked of PyTorch."""
    index = index if isinstance(index, tuple) else (index,)
    if any(features(index)):  # which units these are, the image decides
        return mix(op, input, index)
    if not isinstance(input, Feature):
        raise op.unsupported("takes from a constant what the image decides")
    if not all(
        item is None or isinstance(item, int | slice | type(...)) and not isinstance(item, bool)
        for item in index
    ):
        return rearrange(op, lambda numbered: numbered[index], [input])
    missing = [slice(None)] * (len(input.shape) - sum(item not in (None, ...) for item in index))
    at = index.index(...) if ... in index else len(index)
    items = (*index[:at], *missing, *index[at + 1 :])
    dimension, result = 0, input
    for item in items:
        if item is None:
            continue
        size = input.shape[dimension]
        if isinstance(item, slice):
            first, end, stride = item.indices(size)
        else:
            first, end, stride = item % size, item % size + 1, 1
        result = cut(op, result, dimension, first, len(range(first, end, stride)), stride)
        dimension += 1
    if all(isinstance(item, slice) for item in items):
        return result
    kept, dimension = [], 0
    for item in items:
        kept += [(Part(1),)] if item is None else []
        kept += [result.dimensions[dimension]] if isinstance(item, slice) else []
        dimension += item is not None
    return Feature(result.grid, tuple(kept))


def setitem(op, target, index, value):
    """`target` after `target[index] = value`.  Source: NumPy's indexing."""
    index = index if isinstance(index, tuple) else (index,)
    if any(features(index)):
        return mix(op, target, index, value)
    inputs = list(features((target, value)))

    def place(*numbered):
        numbered = iter(numbered)
        whole = next(numbered) if isinstance(target, Feature) else torch.zeros(op.shape, dtype=int)
        whole[index] = next(numbered) if isinstance(value, Feature) else 0
        return whole

    return rearrange(op, place, inputs)


def moved(op, *values, **more):
    """What only moves elements.  Source: the function itself, asked where each one goes."""
    inputs = list(features((values, more)))
    if len(inputs) != 1 or not isinstance(values[0], Feature):
        raise op.unsupported("moves units by what the image holds")
    return rearrange(op, lambda numbered: op.function(numbered, *values[1:], **more), inputs)


def gather(op, input, dim, index, **more):
    """Source: torch.gather: the index says which of the units along `dim`."""
    if not isinstance(index, Feature):
        return moved(op, input, dim, index)
    dim %= len(op.shape)
    targets = [None if d == dim else d for d in range(len(op.shape))]
    inputs = [(input, targets)] if isinstance(input, Feature) else []
    return combine(op, [*inputs, (index, range(len(op.shape)))])


def reshape(op, input, *sizes, shape=None, **more):
    """Source: torch.Tensor.view: elements keep their order.

    Axes are cut or put together where the new dimensions ask for it.
    """
    shape = tuple(op.shape if shape is None else shape)
    if shape == tuple(input.shape):
        return input
    parts = [part for parts in input.dimensions for part in parts if part.size > 1]
    merged: list[Part] = []
    for part in parts:
        if part.axis is None and merged and merged[-1].axis is None:
            merged[-1] = Part(merged[-1].size * part.size, None, merged[-1].mixed or part.mixed)
        else:
            merged.append(part)
    groups = grouped(merged, [(d, size) for d, size in enumerate(shape) if size > 1])
    dimensions: list[tuple[Part, ...]] = [(Part(1),)] * len(shape)
    units: list[int] = []
    ways: dict[int, Look] = {}
    changed = False
    for own, targets in groups:
        sizes = [size for _, size in targets]
        digits = common([*bounds(own), *bounds([Part(size) for size in sizes])])
        whole_group = digits is None and any(part.axis is not None for part in own)
        if digits is None:
            digits = sizes
        scale = math.prod(sizes)
        made: list[tuple[int, Part]] = []  # (scale, part)
        row: list[tuple[int, int]] = []
        for count in digits:
            scale //= count
            source = next(
                p for p, low in zip(own, lows(own), strict=True) if low <= scale < low * p.size
            )
            if source.axis is None and not whole_group:
                made.append((scale, Part(count, None, source.mixed)))
                continue
            changed |= count != source.size or whole_group
            row.append((len(units), scale))
            made.append((scale, Part(count, len(units))))
            units.append(count)
        total = math.prod(sizes)
        for p, low in zip(own, lows(own), strict=True):
            if p.axis is None:
                continue
            if whole_group:
                ways[p.axis] = Look(digit(low, p.size, 0, 0, total), tuple(row))
            else:
                inside = [(axis, s // low) for axis, s in row if low <= s < low * p.size]
                ways[p.axis] = Look(SAME, tuple(inside))
        low = math.prod(sizes)
        for d, size in targets:
            low //= size
            dimensions[d] = tuple(part for s, part in made if low <= s < low * size)
    if not changed:
        named = iter([part for part in merged if part.axis is not None])
        back = {
            part.axis: next(named).axis for ps in dimensions for part in ps if part.axis is not None
        }
        dimensions = [
            tuple(p if p.axis is None else p._replace(axis=back[p.axis]) for p in parts)
            for parts in dimensions
        ]
        ones = {axis for axis in input.held if input.grid.units[axis] == 1}
        return Feature(input.grid, keep_ones(input, tuple(dimensions), shape, ones))
    looks = tuple(ways.get(axis, Look(SAME, ())) for axis in range(len(input.grid.units)))
    return Feature(Grid(tuple(units), ((input.grid, looks),)), tuple(dimensions))


def keep_ones(input: Feature, dimensions: Dimensions, shape, ones: set[int]) -> Dimensions:
    """Axes of one unit stay in the dimension, counted from the end, that held them."""
    made = list(dimensions)
    for d in range(1, min(len(shape), len(input.shape)) + 1):
        axes = input.axes(-d) & ones
        if len(axes) == 1 and input.shape[-d] == 1 and shape[-d] == 1:
            made[-d] = (Part(1, *axes),)
    return tuple(made)


def grouped(parts: Sequence[Part], targets: Sequence[tuple[int, int]]):
    """Runs of parts and of (dimension, size) that hold the same number of elements."""
    own: list[Part] = []
    theirs: list[tuple[int, int]] = []
    parts, targets = list(parts), list(targets)
    while parts or targets:
        left = math.prod(part.size for part in own)
        right = math.prod(size for _, size in theirs)
        if own and left == right:
            yield own, theirs
            own, theirs = [], []
            continue
        if left <= right and parts:
            own.append(parts.pop(0))
        elif targets:
            theirs.append(targets.pop(0))
        else:
            own.append(parts.pop(0))
    if own:
        yield own, theirs


def view(op, input, *sizes, **more):
    """Source: torch.Tensor.view; to another type, elements are not what they were."""
    if any(isinstance(size, torch.dtype) for size in (*sizes, *more.values())):
        if math.prod(op.shape) != math.prod(input.shape):
            raise op.unsupported("reads the image as numbers of another length")
    return reshape(op, input)


def permute(op, input, *order, dims=None):
    """Source: torch.permute, with the order as one tuple or as numbers."""
    order = dims or (order[0] if isinstance(order[0], tuple | list) else order)
    return Feature(input.grid, tuple(input.dimensions[d] for d in order))


def transpose(op, input, dim0=-2, dim1=-1, **more):
    """Source: torch.transpose; t, mT and T change the last two dimensions."""
    order = list(range(len(input.shape)))
    if len(order) > 1:
        order[dim0], order[dim1] = order[dim1], order[dim0]
    return permute(op, input, order)


def turn_round(op, input):
    """Source: torch.Tensor.T: all dimensions in the opposite order."""
    return permute(op, input, range(len(input.shape))[::-1])


def movedim(op, input, source, destination):
    """Source: torch.movedim."""
    count = len(input.shape)
    sources = [d % count for d in pair(source, 1)]
    targets = [d % count for d in pair(destination, 1)]
    rest = iter(d for d in range(count) if d not in sources)
    placed = dict(zip(targets, sources, strict=True))
    return permute(op, input, [placed[d] if d in placed else next(rest) for d in range(count)])


def repeat(op, input, *sizes, **more):
    """Source: torch.Tensor.repeat and torch.tile: the whole, several times."""
    dimensions = []
    lead = len(op.shape) - len(input.shape)
    for d, size in enumerate(op.shape):
        parts = input.dimensions[d - lead] if d >= lead else ()
        times = size // math.prod(part.size for part in parts)
        dimensions.append((*([Part(times)] if times > 1 or not parts else []), *parts))
    return Feature(input.grid, tuple(dimensions))


def repeat_interleave(op, input, repeats, dim=None, **more):
    """Source: torch.repeat_interleave: each element, several times."""
    if not isinstance(repeats, int):
        return moved(op, input, repeats, dim, **more)
    if dim is None:
        input, dim = reshape(op, input, shape=(math.prod(input.shape),)), 0
    dimensions = list(input.dimensions)
    dimensions[dim] = (*dimensions[dim], Part(repeats))
    return Feature(input.grid, tuple(dimensions))


# ------------------------------------------------------------- along a dimension, and products


def reduce(op, input, dim=None, *options, **more):
    """Source: "Reduction Ops" of PyTorch; without `dim`, all. max and min also take two tensors."""
    if isinstance(dim, Feature | Tensor):
        return join(op, input, dim)
    if isinstance(dim, bool):
        dim = None
    count = len(input.shape)
    dims = dimensions_of(dim, count)
    kept = [d for d in range(count) if len(op.shape) == count or d not in dims]
    return (collapse(op, input, dims, kept),) * len(op.shapes)


def norm(op, input, p=None, dim=None, *options, **more):
    """Source: torch.norm, torch.linalg.vector_norm."""
    return reduce(op, input, dim)


def ranked(op, input, *options, dim=None, **more):
    """Any place along the dimension may come first.  Source: torch.sort, torch.topk."""
    given = [each for each in options if isinstance(each, int) and not isinstance(each, bool)]
    if dim is None and op.name in ("topk", "kthvalue"):
        dim = given[1] if len(given) > 1 else -1
    elif dim is None:
        dim = (
            given[0]
            if given
            else (None if op.name.startswith("arg") and op.name != "argsort" else -1)
        )
    count = len(input.shape)
    dims = dimensions_of(dim, count)
    kept = [d for d in range(count) if len(op.shape) == count or d not in dims]
    return tuple(collapse(op, input, dims, kept, shape) for shape in op.shapes)


def running(op, input, dim=None, **more):
    """Source: torch.cumsum: each place sees those before it."""
    (dim,) = dimensions_of(dim, len(input.shape))
    input = on_axes(op, input, [dim]) if input.axes(dim) else input
    steps = {a: (so_far(input.grid.units[a]), input.grid.units[a]) for a in input.axes(dim)}
    return (derive(input, input.dimensions, steps),) * len(op.shapes)


def linear(op, input, weight, bias=None):
    """Source: torch.nn.Linear: each output looks along the whole last dimension."""
    if known(weight):
        return matmul(op, input, weight.t())
    return combine(op, [(input, [*range(len(input.shape) - 1), None])])


def matmul(op, left, right, *more, **options):
    """A row times a column.  Source: torch.matmul.

    A constant matrix with zeros is read place by place; training may fill any other one.
    """
    count = len(op.shape)
    vector_left, vector_right = len(left.shape) == 1, len(right.shape) == 1

    def targets(each, rows: bool, vector: bool):
        n = len(each.shape)
        if vector:
            return [None]
        used = count - (not vector_left) - (not vector_right)
        batch = [d - (n - 2) + used for d in range(n - 2)]
        if rows:
            return [*batch, used, None]
        return [*batch, None, count - 1]

    inputs = []
    for each, other, rows, vector in (
        (left, right, True, vector_left),
        (right, left, False, vector_right),
    ):
        if not isinstance(each, Feature):
            continue
        own = targets(each, rows, vector)
        dim = -1 if rows or vector else -2
        if known(other) and len(other.shape) == 2 and each.axes(dim) and (other == 0).any():
            return through_matrix(op, each, dim, other if rows else other.t(), rows)
        inputs.append((each, own))
    return combine(op, inputs)


def through_matrix(op, input: Feature, dim: int, matrix: Tensor, rows: bool) -> Feature:
    """`input` times a constant `matrix` (places, results) that has zeros."""
    input = on_axes(op, input, [dim])
    seen = (matrix != 0).t().numpy()  # (results, places)
    width = max(1, int(seen.sum(axis=1).max()))
    listed = np.full((len(seen), width), ABSENT)
    for row, line in enumerate(seen):
        listed[row, : line.sum()] = np.flatnonzero(line)
    axis = input.dimensions[dim][0].axis
    dimensions = list(input.dimensions)
    dimensions[dim] = (Part(len(seen), axis),)
    result = derive(input, tuple(dimensions), {axis: (table(listed), len(seen))})
    return Feature(result.grid, result.dimensions)


def add_product(op, input, left, right, **more):
    """Source: torch.baddbmm and addmm: input + left @ right."""
    product = matmul(op, left, right) if any(features((left, right))) else None
    return join(op, input, product)


def einsum(op, equation, *operands):
    """Source: torch.einsum: a letter that the result has not is summed over."""
    operands = (
        operands[0] if len(operands) == 1 and isinstance(operands[0], tuple | list) else operands
    )
    if not isinstance(equation, str):
        raise op.unsupported("has a rule for an equation in letters only")
    given, _, wanted = equation.replace(" ", "").partition("->")
    terms = given.split(",")
    if "->" not in equation:
        letters = "".join(sorted(c for c in set(given) - {",", "."} if given.count(c) == 1))
        wanted = ("..." if "..." in given else "") + letters
    extra = max(
        (len(each.shape) - len(term.replace("...", "")) for each, term in zip(operands, terms, strict=True)
         if "..." in term),
        default=0,
    )  # fmt: skip

    def named(term: str, count: int) -> list[str]:
        before, dots, after = term.partition("...")
        width = count - len(before) - len(after) if dots else 0
        return [*before, *(f".{n}" for n in range(extra - width, extra)), *after]

    result = named(wanted, len(op.shape))
    inputs = []
    for each, term in zip(operands, terms, strict=True):
        if isinstance(each, Feature):
            letters = named(term, len(each.shape))
            if len(set(letters)) < len(letters):
                raise op.unsupported(f"has no rule for the diagonal in {term!r}")
            inputs.append((each, [result.index(c) if c in result else None for c in letters]))
    return combine(op, inputs)


def tensordot(op, left, right, dims=2, **more):
    """Source: torch.tensordot."""
    if isinstance(dims, int):
        pairs = (range(len(left.shape) - dims, len(left.shape)), range(dims))
    else:
        pairs = dims
    summed = [
        {d % len(each.shape) for d in pair(own, 1)}
        for each, own in zip((left, right), pairs, strict=True)
    ]
    place = itertools.count()
    inputs = []
    for each, own in zip((left, right), summed, strict=True):
        targets = [None if d in own else next(place) for d in range(len(each.shape))]
        if isinstance(each, Feature):
            inputs.append((each, targets))
    return combine(op, inputs)


def outer(op, left, right):
    """Source: torch.outer."""
    pairs = zip((left, right), ([0], [1]), strict=True)
    return combine(op, [(f, target) for f, target in pairs if isinstance(f, Feature)])


def bilinear(op, left, right, weight, bias=None):
    """Source: torch.nn.functional.bilinear."""
    inputs = features((left, right))
    return combine(op, [(f, [*range(len(f.shape) - 1), None]) for f in inputs])


def similarity(op, left, right, dim=1, *options, **more):
    """Source: torch.nn.functional.cosine_similarity."""
    dim = {"pairwise_distance": -1}.get(op.name, more.get("dim", dim))
    count = max(len(left.shape), len(right.shape))
    dim %= count
    places = [*range(dim), None, *range(dim, count - 1)]
    return combine(op, [(f, places[count - len(f.shape) :]) for f in features((left, right))])


def distances(op, left, right, *options, **more):
    """Source: torch.cdist: of every row to every row."""
    count = len(op.shape)
    batch = range(count - 2)
    pairs = ((left, [*batch, count - 2, None]), (right, [*batch, count - 1, None]))
    return combine(op, [(f, targets) for f, targets in pairs if isinstance(f, Feature)])


# -------------------------------------------------------------------- norms and attention


def softmax(op, input, dim=None, *options, **more):
    """Source: torch.nn.functional.softmax, which guesses a missing `dim` from the shape."""
    return along(input, [(0 if len(input.shape) in (0, 1, 3) else 1) if dim is None else dim])


def normalize(op, input, p=2.0, dim=1, *options, **more):
    """Source: torch.nn.functional.normalize."""
    return along(input, dimensions_of(dim, len(input.shape)))


def layer_norm(op, input, normalized_shape, *options, **more):
    """Source: torch.nn.LayerNorm: along the last dimensions, which seldom hold height or width."""
    return input if op.through_gates else along(input, range(-len(normalized_shape), 0))


def group_norm(op, input, *options, **more):
    """Divided by the deviation of the whole map: a gate too.

    Source: Wu and He 2018, "Group Normalization", section 3.1, arXiv:1803.08494.
    """
    return input if op.through_gates else along(input, range(1, len(input.shape)))


def instance_norm(
    op, input, running_mean=None, running_var=None, weight=None, bias=None, use_input_stats=True,
    *options, **more,
):  # fmt: skip
    """Source: torch.nn.InstanceNorm2d: pointwise where the statistics are known beforehand."""
    if op.through_gates or not use_input_stats:
        return input
    return along(input, range(2, len(input.shape)))


def batch_norm(
    op, input, running_mean=None, running_var=None, weight=None, bias=None, training=False,
    *options, **more,
):  # fmt: skip
    """Source: torch.nn.BatchNorm2d: pointwise where the statistics are known beforehand."""
    if not training or op.through_gates:
        return input
    return along(input, [d for d in range(len(input.shape)) if d != 1])


def channel_norm(op, input, size, *options, **more):
    """Source: torch.nn.LocalResponseNorm: over neighbouring channels."""
    return along(input, [1]) if input.axes(1) else input


def attention(op, query, key, value, attn_mask=None, *options, **more):
    """A query sees itself and all keys and values.  Source: Vaswani et al. 2017, arXiv:1706.03762.

    A constant mask may hide some of them.
    """
    count = len(op.shape)
    batch = [*range(count - 2)]

    def placed(each, positions, last):
        own = batch[count - len(each.shape) :]
        heads = [d if each.shape[k] in (1, op.shape[d]) else None for k, d in enumerate(own)]
        return each, [*heads, positions, last]

    inputs = [
        placed(each, positions, last)
        for each, positions, last in (
            (query, count - 2, None),
            (key, None, None),
            (value, None, count - 1),
            (attn_mask, count - 2, None),
        )
        if isinstance(each, Feature)
    ]
    hides = known(attn_mask) and (
        not attn_mask.all() if attn_mask.dtype == torch.bool else attn_mask.min() < -1e30
    )
    causal = more.get("is_causal", options[1] if len(options) > 1 else False)
    loose = op.loose("hides units behind a mask") if hides or causal else None
    return combine(op, inputs, loose=loose)


def multi_head_attention(op, query, key, value, *options, **more):
    """Source: torch.nn.functional.multi_head_attention_forward: (positions, images, channels)."""
    two = len(query.shape) == 2
    inputs = [(query, [0, None] if two else [0, 1, None])] if isinstance(query, Feature) else []
    inputs += [(f, [None, None] if two else [None, 1, None]) for f in features((key, value))]
    mask = more.get("attn_mask")
    loose = op.loose("hides units behind a mask") if isinstance(mask, Tensor) else None
    results = [combine(op, inputs, op.shapes[0], loose=loose)]
    for shape in op.shapes[1:]:
        rows = {"0": len(shape) - 2}
        scores = [(query, [rows["0"], *([] if two else [0]), None])]
        scores += [(key, [len(shape) - 1, *([] if two else [0]), None])]
        scores = [(f, targets) for f, targets in scores if isinstance(f, Feature)]
        results.append(combine(op, scores, shape, loose=loose))
    return tuple(results)


def recurrent(op, input, hx, *options, **more):
    """Each place sees those along the sequence, in both directions if there are two.

    Source: torch.nn.LSTM.
    """
    # (input, hx, params, has_biases, num_layers, dropout, train, bidirectional, batch_first)
    batch_first = len(input.shape) == 3 and bool(options[-1])
    both, sequence = bool(options[-2]), 1 if batch_first else 0
    inner = collapse(op, input, [-1], [*range(len(input.shape) - 1), None])
    if both:
        output = along(inner, [sequence])
    else:
        output = running(op, inner, sequence)[0]
    last = collapse(op, inner, range(len(inner.shape)), [None] * len(op.shapes[-1]), op.shapes[-1])
    return (output, *[last] * (len(op.shapes) - 1))


def transform(op, input, *options, **more):
    """Source: torch.fft: each frequency sees all places."""
    count = len(input.shape)
    dims = more.get("dim", options[1] if len(options) > 1 else None)
    name = op.name
    if dims is None:
        dims = [-2, -1] if name.endswith("2") else (None if name.endswith("n") else -1)
    dims = dimensions_of(dims, count)
    return collapse(op, input, dims, range(count))


def mix(op: Operation, *values, **more) -> tuple[Feature, ...]:
    """One unit, which sees what all units of all inputs see, in each result."""
    inputs = [(f, [None] * len(f.shape)) for f in features((values, more))]
    one = combine(op, inputs, ())
    return tuple(Feature(one.grid, plain(shape)) for shape in op.shapes)


# --------------------------------------------------------------------------------- the table

ELEMENTWISE = """
    abs acos acosh add alpha_dropout and angle asin asinh atan atan2 atanh bfloat16 bitwise_and
    bitwise_not bitwise_or bitwise_xor bool ceil celu clamp clamp_max clamp_min clip clone complex
    conj contiguous copysign cos cosh cpu cuda data deg2rad detach double dropout dropout1d
    dropout2d dropout3d elu eq equal_nan erf erfc exp exp2 expm1 fake_quantize_per_channel_affine
    fake_quantize_per_tensor_affine feature_alpha_dropout float floor floor_divide fmax fmin fmod
    frac ge gelu greater gt half hardshrink hardsigmoid hardswish hardtanh heaviside hypot imag int
    invert isclose isfinite isinf isnan le leaky_relu lerp less lgamma log log10 log1p log2
    log_sigmoid logaddexp logaddexp2 logical_and logical_not logical_or logical_xor logit logsigmoid
    long lt maximum minimum mish mod nan_to_num ne neg negative or polar pos positive pow prelu
    quantize_per_tensor rad2deg real reciprocal relu relu6 remainder requires_grad resolve_conj
    resolve_neg round rpow rrelu rsqrt rsub selu sgn short sigmoid sign silu sin sinc sinh softplus
    softshrink softsign sqrt square sub subtract tan tanh tanhshrink threshold trunc xlogy xor zero
    copy fill
"""
SCALED = "mul multiply div divide true_divide truediv rdiv rtruediv rmul"
MASKED = "masked_fill where add sub"
REDUCTIONS = """
    all amax amin any count_nonzero logsumexp max mean min nanmean nansum prod std std_mean sum var
    var_mean aminmax
"""
RESHAPES = """
    atleast_3d flatten ravel reshape reshape_as squeeze unflatten unsafe_view unsqueeze view_as
    view_as_complex view_as_real
"""
MOVES = """
    channel_shuffle diag diag_embed diagonal flip fliplr flipud index_select masked_select roll
    rot90 take_along_dim tril triu
"""
RANKED = "argmax argmin argsort cummax cummin kthvalue median mode msort sort topk"
RULES: dict[str, Callable] = {
    **dict.fromkeys(["conv1d", "conv2d", "conv3d"], conv),
    **dict.fromkeys(["conv_transpose1d", "conv_transpose2d", "conv_transpose3d"], conv_transpose),
    "convolution": convolution,
    **dict.fromkeys([f"{kind}_pool{n}d" for kind in ("max", "avg") for n in (1, 2, 3)], pool),
    **dict.fromkeys([f"max_pool{n}d_with_indices" for n in (1, 2, 3)], pool),
    **dict.fromkeys([f"lp_pool{n}d" for n in (1, 2, 3)], lp_pool),
    **dict.fromkeys([f"max_unpool{n}d" for n in (1, 2, 3)], max_unpool),
    **dict.fromkeys(
        [f"adaptive_{kind}_pool{n}d" for kind in ("max", "avg") for n in (1, 2, 3)], adaptive_pool
    ),
    **dict.fromkeys([f"adaptive_max_pool{n}d_with_indices" for n in (1, 2, 3)], adaptive_pool),
    "interpolate": interpolate,
    "pixel_shuffle": pixel_shuffle,
    "pixel_unshuffle": pixel_unshuffle,
    "pad": pad,
    "constant_pad_nd": pad,
    **dict.fromkeys(["unfold", "im2col"], unfold),
    **dict.fromkeys(["fold", "col2im"], fold),
    "grid_sample": grid_sample,
    "getitem": getitem,
    "setitem": setitem,
    "slice": slice_tensor,
    "select": select,
    "narrow": narrow,
    **dict.fromkeys(
        "chunk split split_with_sizes tensor_split hsplit vsplit dsplit".split(), chunk
    ),
    "unbind": unbind,
    **dict.fromkeys(["cat", "concat", "concatenate"], cat),
    "stack": stack,
    "broadcast_tensors": broadcast,
    "permute": permute,
    **dict.fromkeys("transpose swapaxes swapdims t mT adjoint mH".split(), transpose),
    "T": turn_round,
    **dict.fromkeys(["movedim", "moveaxis"], movedim),
    **dict.fromkeys(["repeat", "tile"], repeat),
    "repeat_interleave": repeat_interleave,
    "gather": gather,
    "view": view,
    **dict.fromkeys(["addcmul", "addcdiv"], addcmul),
    "glu": glu,
    **dict.fromkeys(["linear"], linear),
    **dict.fromkeys("matmul bmm mm mv dot".split(), matmul),
    **dict.fromkeys(["baddbmm", "addmm"], add_product),
    "einsum": einsum,
    "tensordot": tensordot,
    "outer": outer,
    "bilinear": bilinear,
    **dict.fromkeys(["cosine_similarity", "pairwise_distance"], similarity),
    "cdist": distances,
    **dict.fromkeys("softmax log_softmax softmin gumbel_softmax".split(), softmax),
    "normalize": normalize,
    "batch_norm": batch_norm,
    "group_norm": group_norm,
    "instance_norm": instance_norm,
    "layer_norm": layer_norm,
    "rms_norm": layer_norm,
    "local_response_norm": channel_norm,
    "scaled_dot_product_attention": attention,
    "multi_head_attention_forward": multi_head_attention,
    **dict.fromkeys(["lstm", "gru", "rnn_tanh", "rnn_relu"], recurrent),
    **dict.fromkeys(["norm", "vector_norm", "linalg_vector_norm", "frobenius_norm"], norm),
    **dict.fromkeys(["cumsum", "cumprod", "logcumsumexp"], running),
    **dict.fromkeys(
        ["fft_" + i + r + "fft" + n for i in ("", "i") for r in ("", "r") for n in ("", "2", "n")],
        transform,
    ),
    **dict.fromkeys(RANKED.split(), ranked),
    **dict.fromkeys(MOVES.split(), moved),
    **dict.fromkeys(SCALED.split(), multiply),
    **dict.fromkeys(REDUCTIONS.split(), reduce),
    **dict.fromkeys(RESHAPES.split(), reshape),
    **dict.fromkeys("expand expand_as broadcast_to to type type_as".split(), type_like),
    **dict.fromkeys(ELEMENTWISE.split(), join),
    **dict.fromkeys(MASKED.split(), masked),
}
CONSTANTS = """
    bernoulli empty_like full_like new new_empty new_full new_ones new_tensor new_zeros ones_like
    rand_like randint_like randn_like zeros_like
"""
# These take several features; to all other rules, only the first may depend on the image.
MANY = {
    mix, join, masked, multiply, addcmul, cat, stack, broadcast, reduce, matmul, add_product,
    einsum, tensordot, outer, bilinear, similarity, distances, attention, multi_head_attention,
    max_unpool, grid_sample, getitem, setitem, gather, linear, type_like, reshape, view,
}  # fmt: skip


def apply(op: Operation, args: tuple, kwargs: dict[str, Any]) -> tuple[Feature, ...]:
    """The features of an operation's results, by its rule.

    Raises: Unsupported if there is none.
    """
    inputs = list(features((args, kwargs)))
    name = op.name
    if name not in RULES and name[:1] in "ir" and name[1:] in RULES:  # x += y, 1 - x
        name = name[1:]
    alike = all(each.alike for each in inputs)  # which any function only mixes
    rule = RULES.get(name, mix if alike else None)
    if rule is None:
        close = difflib.get_close_matches(name, RULES, n=3, cutoff=0.6)
        near = f"; there are rules for {', '.join(close)}" if close else ""
        raise op.unsupported(f"has no rule{near}")
    first = kwargs.get("input", args[0] if args else None)
    if rule in MANY or inputs == [first]:
        result = rule(op, *args, **kwargs)
    elif alike:
        result = mix(op, *args, **kwargs)
    else:
        result = weighted(op, rule, first, inputs, args, kwargs)
    return result if isinstance(result, tuple) else (result,)


def weighted(op: Operation, rule: Callable, first: Any, inputs, args, kwargs) -> Feature:
    """By `rule`, where its weights or settings depend on the image as well, all alike."""
    others = [each for each in inputs if each is not first]
    if not isinstance(first, Feature) or not all(each.alike for each in others):
        raise op.unsupported("has weights or settings that differ from unit to unit")

    def plain_tensor(value):
        if isinstance(value, Feature) and value is not first:
            return torch.empty(value.shape, device="meta")
        return value

    given = torch.fx.node.map_aggregate((args, kwargs), plain_tensor)
    result = rule(op, *given[0], **given[1])
    if op.through_gates:
        return result
    joined = [(result, range(len(result.shape)))]
    return combine(op, [*joined, *((f, [None] * len(f.shape)) for f in others)])
