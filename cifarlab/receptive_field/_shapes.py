"""Rules of what cuts a tensor, puts tensors together, or lays one out anew.

Lesson: Receptive fields.
"""

import itertools
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from cifarlab.receptive_field._features import (
    Dimensions,
    Feature,
    Operation,
    Part,
    as_tuple,
    axis_along,
    bounds,
    broadcast_dimensions,
    combine,
    common,
    derive,
    features,
    lows,
    mix,
    on_axes,
    straight,
)
from cifarlab.receptive_field._taps import (
    ABSENT,
    AXES,
    SAME,
    Grid,
    Look,
    Step,
    digit,
    table,
    window,
)


def cut(
    op: Operation, input: Feature, dim: int, first: int, count: int, stride: int = 1
) -> Feature:
    """`count` places along `dim`, from `first`."""
    size = input.shape[dim]
    parts = input.dimensions[dim]
    if (first, count, stride) == (0, size, 1):
        return input
    along, pieces = input.pieces or (None, ())
    if along == dim and stride == 1:
        return cut_pieces(op, pieces, dim, first, count)
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
    axis = axis_along(input, dim)
    dimensions = list(input.dimensions)
    dimensions[dim] = (Part(count, axis),)
    return derive(input, tuple(dimensions), {axis: (window(stride=stride, padding=-first), count)})


def cut_pieces(
    op: Operation, pieces: Iterable[tuple[int, Feature]], dim: int, first: int, count: int
) -> Feature:
    """As `cut`, of what is known to lie side by side: sizes and features."""
    start, chosen = 0, []
    for size, piece in pieces:
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
    tensors = [t for t in tensors if not (isinstance(t, Tensor) and t.numel() == 0)]
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
    places, start = [], 0
    for tensor in tensors:
        size = tensor.shape[dim]
        if isinstance(tensor, Feature):
            places.append([start, start, start + size])
        start += size
    if not several:  # beyond the ends, and over constants, a map goes on
        places[0][1], places[-1][2] = -math.inf, math.inf
    targets = range(len(op.shape))
    return combine(
        op, [(f, targets) for f in inputs], single=[dim], offsets={dim: list(map(tuple, places))}
    )


def side_stack(op, tensors):
    """Source: torch.hstack, vstack, dstack and column_stack, of tensors that need no more axes."""
    dim = {"vstack": 0, "row_stack": 0, "dstack": 2}.get(op.name, 1)
    if min(len(tensor.shape) for tensor in tensors) <= dim:
        raise op.unsupported("has a rule for tensors of more dimensions")
    return cat(op, tensors, dim)


def stack(op, tensors, dim=0):
    """Source: torch.stack."""
    dim %= len(op.shape)

    def lifted(tensor):
        if isinstance(tensor, Tensor):
            return tensor.unsqueeze(dim)
        return Feature(
            tensor.grid, (*tensor.dimensions[:dim], (Part(1),), *tensor.dimensions[dim:])
        )

    return cat(op, [lifted(tensor) for tensor in tensors], dim)


def pieces_of(op, input, sizes: Sequence[int], dim: int) -> tuple[Feature, ...]:
    """`input` cut along `dim` into pieces of `sizes`."""
    starts = [0, *itertools.accumulate(sizes)]
    return tuple(
        cut(op, input, dim, start, size) for start, size in zip(starts, sizes, strict=False)
    )


def chunk(op, input, amount=None, dim=0, **more):
    """Source: torch.chunk, torch.split and torch.tensor_split; hsplit, vsplit and dsplit."""
    dim = {"vsplit": 0, "hsplit": min(1, len(input.shape) - 1), "dsplit": 2}.get(op.name, dim)
    dim %= len(input.shape)
    return pieces_of(op, input, [shape[dim] for shape in op.shapes], dim)


def unbind(op, input, dim=0):
    """Source: torch.unbind: each place along `dim`."""
    dim %= len(input.shape)
    return tuple(drop(piece, dim) for piece in pieces_of(op, input, [1] * len(op.shapes), dim))


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
        item is None or (isinstance(item, int | slice | type(...)) and not isinstance(item, bool))
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
    dimensions, dimension = [], 0
    for item in items:
        dimensions += [(Part(1),)] if item is None else []
        dimensions += [result.dimensions[dimension]] if isinstance(item, slice) else []
        dimension += item is not None
    return Feature(result.grid, tuple(dimensions))


def setitem(op, target, index, value):
    """`target` after `target[index] = value`.  Source: NumPy's indexing."""
    index = index if isinstance(index, tuple) else (index,)
    if any(features(index)):
        return mix(op, target, index, value)
    inputs = list(features((target, value)))

    def place(*numbered):
        numbered = iter(numbered)
        result = next(numbered) if isinstance(target, Feature) else torch.zeros(op.shape, dtype=int)
        result[index] = next(numbered) if isinstance(value, Feature) else 0
        return result

    return rearrange(op, place, inputs)


def index(op, input, indices):
    """Source: aten::index in PyTorch's native_functions.yaml, where None stands for a slice."""
    return getitem(op, input, tuple(slice(None) if item is None else item for item in indices))


def index_put(op, input, indices, values, accumulate=False, **more):
    """Source: torch.Tensor.index_put."""
    if accumulate:
        raise op.unsupported("adds up what it writes to one place; index_add has a rule")
    indices = tuple(slice(None) if item is None else item for item in indices)
    return setitem(op, input, indices, values)


def scatter(op, input, dim, index, src=None, *, source=None, value=None, reduce=None):
    """`input`, its elements overwritten at `index` along `dim`.

    Source: torch.scatter and index_copy.
    """
    if reduce is not None:
        raise op.unsupported("adds up what it writes to one place; index_add has a rule")
    src = source if src is None else src
    if isinstance(index, Feature):
        return mix(op, input, index, src)

    def place(*numbered):
        numbers = iter(numbered)
        result = next(numbers) if isinstance(input, Feature) else torch.zeros(op.shape, dtype=int)
        shape = index.shape if op.name == "scatter" else op.shape
        moved = next(numbers) if isinstance(src, Feature) else torch.zeros(shape, dtype=int)
        if op.name == "index_copy":
            moved = moved.narrow(dim, 0, len(index))
        return getattr(result, op.name)(dim, index, moved)

    return rearrange(op, place, list(features((input, src))))


def overwrite(op, target, value=0, *options, src=None, **more):
    """All of `target` becomes `value`.  Source: torch.Tensor.copy_, fill_ and zero_."""
    value = value if src is None else src
    if isinstance(value, Feature):
        return Feature(value.grid, broadcast_dimensions(value, op.shape))
    return rearrange(op, lambda numbered: torch.zeros(op.shape, dtype=torch.int64), [target])


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
        scaled_parts: list[tuple[int, Part]] = []  # (scale, part)
        row: list[tuple[int, int]] = []
        for count in digits:
            scale //= count
            source = next(
                p for p, low in zip(own, lows(own), strict=True) if low <= scale < low * p.size
            )
            if source.axis is None and not whole_group:
                scaled_parts.append((scale, Part(count, None, source.mixed)))
                continue
            changed |= count != source.size or whole_group
            row.append((len(units), scale))
            scaled_parts.append((scale, Part(count, len(units))))
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
            dimensions[d] = tuple(part for s, part in scaled_parts if low <= s < low * size)
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
    result = list(dimensions)
    for d in range(1, min(len(shape), len(input.shape)) + 1):
        axes = input.axes(-d) & ones
        if len(axes) == 1 and input.shape[-d] == 1 and shape[-d] == 1:
            result[-d] = (Part(1, axes.pop()),)
    return tuple(result)


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
    typed = any(isinstance(size, torch.dtype) for size in (*sizes, *more.values()))
    if typed and math.prod(op.shape) != math.prod(input.shape):
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
    sources = [d % count for d in as_tuple(source, 1)]
    targets = [d % count for d in as_tuple(destination, 1)]
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


# ------------------------------------------------------------- any rearrangement, by asking it


def rearrange(op: Operation, place: Callable, inputs: Sequence[Feature]) -> Feature:
    """What `place` makes of numbered elements: for all that only moves them.

    `place` takes a tensor for each of the inputs. For each axis of each input it is run on the
    numbers of the units, from 1; a 0 in the result has come from nowhere.
    """
    shape = tuple(op.shape)
    seen: list[tuple[int, int | None, np.ndarray]] = []
    for n, input in enumerate(inputs):
        moving: list[int | None] = [a for a in sorted(input.held) if input.grid.units[a] > 1]
        for axis in moving or [None]:
            tensors = [torch.zeros(other.shape, dtype=torch.int64) for other in inputs]
            tensors[n] = unit_numbers(input, axis) if axis is not None else tensors[n] + 1
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
    for n, along, array in seen:
        own = [d for d in deciding if (array != array.take([0], d)).any()]
        listed = array[tuple(slice(None) if d in own else 0 for d in range(len(shape)))]
        scales = [math.prod(shape[d] for d in own[k + 1 :]) for k in range(len(own))]
        count = inputs[n].grid.units[along] if along is not None else 1
        look = Look(
            listing(listed.ravel(), count),
            tuple(zip([axes[d] for d in own], scales, strict=True)),
        )
        if along is None:
            absent.append((n, look))
        else:
            ways[n][along] = look
    sources = [input.grid for input in inputs]
    for n, look in absent:  # one unit: here it is seen, there it is not
        if look.digits:
            ways[n] = [look]
            looks = (Look(SAME, ()),) * len(sources[n].units)
            sources[n] = Grid((1,), ((sources[n], looks),))
    mixed = any(input.mixed(d) for input in inputs for d in range(len(input.shape)))
    loose = None
    if mixed:
        whole = len(inputs) == 1
        if whole:  # if all that counts as one unit has stayed together
            kinds = unit_numbers(inputs[0], None)
            placed = place(kinds).reshape(shape).movedim(deciding, list(range(len(deciding))))
            rows = placed.reshape(math.prod(units), -1).tolist()
            every = frozenset(range(1, int(kinds.max()) + 1))
            whole = {frozenset(row) - {0} for row in rows} <= {frozenset(), every}
        if not whole:
            loose = op.loose("takes some of what sees different things")
    links = tuple((grid, tuple(look)) for grid, look in zip(sources, ways, strict=True))
    dimensions = tuple(
        (Part(size, axes.get(d), mixed and d not in axes),) for d, size in enumerate(shape)
    )
    return Feature(Grid(units, links, None, loose), dimensions)


def unit_numbers(input: Feature, axis: int | None) -> Tensor:
    """For each element of a tensor, the unit on `axis` that it belongs to, from 1.

    Without an axis, which of those that see different things, but count as one unit.
    """
    parts = [part for parts in input.dimensions for part in parts]
    count, scale = torch.ones([part.size for part in parts], dtype=torch.int64), 1
    for d, part in enumerate(parts):
        if part.mixed if axis is None else part.axis == axis:
            shape = [-1 if d == other else 1 for other in range(len(parts))]
            count = count + torch.arange(part.size).view(shape) * scale
            scale *= part.size
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


# ---------------------------------------------------------------------------- results, as maps


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
    dims: tuple[int, ...]
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
