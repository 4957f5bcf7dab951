"""Rules of what sums along dimensions: reductions, products of matrices, norms and attention.

Lesson: Receptive fields.
"""

import itertools

import numpy as np
import torch
from torch import Tensor

from cifarlab.receptive_field._elementwise import join
from cifarlab.receptive_field._features import (
    Feature,
    Part,
    along,
    as_tuple,
    axis_along,
    collapse,
    combine,
    derive,
    dimensions_of,
    features,
    known,
    on_axes,
)
from cifarlab.receptive_field._shapes import reshape
from cifarlab.receptive_field._taps import ABSENT, so_far, table

# ------------------------------------------------------------- along a dimension, and products


def reduce(op, input, dim=None, *options, **more):
    """Source: "Reduction Ops" of PyTorch; without `dim`, all. max and min also take two tensors."""
    if isinstance(dim, Feature | Tensor):
        return join(op, input, dim)
    if isinstance(dim, bool):
        dim = None
    count = len(input.shape)
    dims = dimensions_of(dim, count)
    kept_dims = [d for d in range(count) if len(op.shape) == count or d not in dims]
    return (collapse(op, input, dims, kept_dims),) * len(op.shapes)


def norm(op, input, p=None, dim=None, *options, **more):
    """Source: torch.norm, torch.linalg.vector_norm."""
    return reduce(op, input, dim)


def ranked(op, input, *options, dim=None, **more):
    """Any place along the dimension may come first.  Source: torch.sort, torch.topk."""
    integers = [n for n in options if isinstance(n, int) and not isinstance(n, bool)]
    if dim is None and op.name in ("topk", "kthvalue"):
        dim = integers[1] if len(integers) > 1 else -1
    elif dim is None:
        dim = (
            integers[0]
            if integers
            else (None if op.name.startswith("arg") and op.name != "argsort" else -1)
        )
    count = len(input.shape)
    dims = dimensions_of(dim, count)
    kept_dims = [d for d in range(count) if len(op.shape) == count or d not in dims]
    return tuple(collapse(op, input, dims, kept_dims, shape) for shape in op.shapes)


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

    def targets(factor, rows: bool, vector: bool):
        n = len(factor.shape)
        if vector:
            return [None]
        used = count - (not vector_left) - (not vector_right)
        batch = [d - (n - 2) + used for d in range(n - 2)]
        if rows:
            return [*batch, used, None]
        return [*batch, None, count - 1]

    inputs = []
    for factor, other, rows, vector in (
        (left, right, True, vector_left),
        (right, left, False, vector_right),
    ):
        if not isinstance(factor, Feature):
            continue
        own = targets(factor, rows, vector)
        dim = -1 if rows or vector else -2
        if known(other) and len(other.shape) == 2 and factor.axes(dim) and (other == 0).any():
            return through_matrix(op, factor, dim, other if rows else other.t())
        inputs.append((factor, own))
    touched = any(f.axes(d) for f, own in inputs for d, target in enumerate(own) if target is None)
    batched = any(len(factor.shape) > 2 for factor in (left, right) if known(factor))
    return combine(op, inputs, loose=zeros(op, left, right) if touched or batched else None)


def zeros(op, *factors) -> str | None:
    """Why a sum of products may see less, if it may: a constant factor has zeros."""
    for factor in filter(known, factors):
        if factor.numel() > 1 and (factor == 0).any():
            return op.loose("multiplies with zeros")
    return None


def through_matrix(op, input: Feature, dim: int, matrix: Tensor) -> Feature:
    """`input` times a constant `matrix` (places, results) that has zeros."""
    input = on_axes(op, input, [dim])
    seen = (matrix != 0).t().numpy()  # (results, places)
    width = max(1, int(seen.sum(axis=1).max()))
    listed = np.full((len(seen), width), ABSENT)
    for row, line in enumerate(seen):
        listed[row, : line.sum()] = np.flatnonzero(line)
    axis = axis_along(input, dim)
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
    left, _, right = equation.replace(" ", "").partition("->")
    terms = left.split(",")
    if "->" not in equation:
        letters = "".join(sorted(c for c in set(left) - {",", "."} if left.count(c) == 1))
        right = ("..." if "..." in left else "") + letters
    widths = [
        len(operand.shape) - len(term.replace("...", ""))
        for operand, term in zip(operands, terms, strict=True)
        if "..." in term
    ]
    extra = max(widths, default=0)

    def named(term: str, count: int) -> list[str]:
        before, dots, after = term.partition("...")
        width = count - len(before) - len(after) if dots else 0
        return [*before, *(f".{n}" for n in range(extra - width, extra)), *after]

    result = named(right, len(op.shape))
    inputs = []
    for operand, term in zip(operands, terms, strict=True):
        if isinstance(operand, Feature):
            letters = named(term, len(operand.shape))
            if len(set(letters)) < len(letters):
                raise op.unsupported(f"has no rule for the diagonal in {term!r}")
            inputs.append((operand, [result.index(c) if c in result else None for c in letters]))
    fixed = {c for operand, term in zip(operands, terms, strict=True) if known(operand)
             for c in named(term, len(operand.shape))}  # fmt: skip
    touched = any(
        operand.axes(d)
        for operand, term in zip(operands, terms, strict=True)
        if isinstance(operand, Feature)
        for d, c in enumerate(named(term, len(operand.shape)))
        if c in fixed
    )
    return combine(op, inputs, loose=zeros(op, *operands) if touched else None)


def tensordot(op, left, right, dims=2, **more):
    """Source: torch.tensordot."""
    if isinstance(dims, int):
        pairs = (range(len(left.shape) - dims, len(left.shape)), range(dims))
    else:
        pairs = dims
    summed = [
        {d % len(factor.shape) for d in as_tuple(own, 1)}
        for factor, own in zip((left, right), pairs, strict=True)
    ]
    place = itertools.count()
    inputs = []
    for factor, own in zip((left, right), summed, strict=True):
        targets = [None if d in own else next(place) for d in range(len(factor.shape))]
        if isinstance(factor, Feature):
            inputs.append((factor, targets))
    touched = any(f.axes(d) for f, own in inputs for d, target in enumerate(own) if target is None)
    return combine(op, inputs, loose=zeros(op, left, right) if touched else None)


def outer(op, left, right):
    """Source: torch.outer."""
    pairs = zip((left, right), ([0], [1]), strict=True)
    inputs = [(f, target) for f, target in pairs if isinstance(f, Feature)]
    return combine(op, inputs, loose=zeros(op, left, right))


def kron(op, left, right):
    """Each element of the one times all of the other.  Source: torch.kron."""
    count = len(op.shape)
    inputs, shape = [], [1] * (2 * count)  # along every dimension, first the left, then the right
    for side, factor in enumerate((left, right)):
        own = range(2 * (count - len(factor.shape)) + side, 2 * count, 2)
        for d, size in zip(own, factor.shape, strict=True):
            shape[d] = size
        if isinstance(factor, Feature):
            inputs.append((factor, own))
    return reshape(op, combine(op, inputs, shape, loose=zeros(op, left, right)))


def index_add(op, input, dim, index, source, **more):
    """Source: torch.index_add: a product with a matrix of ones and zeros, added."""
    if isinstance(index, Feature):
        raise op.unsupported("moves units by what the image holds")
    if not isinstance(source, Feature):
        return input
    matrix = torch.nn.functional.one_hot(index.long(), op.shape[dim])
    return join(op, input, through_matrix(op, source, dim % len(op.shape), matrix))


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

    def placed(tensor, positions, last):
        own = batch[count - len(tensor.shape) :]
        heads = [d if tensor.shape[k] in (1, op.shape[d]) else None for k, d in enumerate(own)]
        return tensor, [*heads, positions, last]

    inputs = [
        placed(tensor, positions, last)
        for tensor, positions, last in (
            (query, count - 2, None),
            (key, None, None),
            (value, None, count - 1),
            (attn_mask, count - 2, None),
        )
        if isinstance(tensor, Feature)
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
    masks = (more.get("attn_mask"), more.get("key_padding_mask"))
    hides = any(isinstance(mask, Tensor) for mask in masks)
    loose = op.loose("hides units behind a mask") if hides else None
    results = [combine(op, inputs, op.shapes[0], loose=loose)]
    for shape in op.shapes[1:]:
        row = len(shape) - 2
        scores = [(query, [row, *([] if two else [0]), None])]
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
    output = along(inner, [sequence]) if both else running(op, inner, sequence)[0]
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
