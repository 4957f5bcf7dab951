"""Rules of what goes element by element.

Lesson: Receptive fields.
"""

from dataclasses import replace
from typing import Any

import torch

from cifarlab.receptive_field._features import (
    Feature,
    Operation,
    aligned,
    broadcast_dimensions,
    combine,
    constants,
    features,
    known,
    straight,
)
from cifarlab.receptive_field._shapes import cut
from cifarlab.receptive_field._taps import Grid

ADDED = ("add", "sub", "subtract", "rsub")
# What multiplies or divides.
SCALED = "mul multiply div divide true_divide truediv rdiv rtruediv rmul"


def join(op, *values, **more):
    """All inputs, element by element.  Source: "Broadcasting semantics" of PyTorch."""
    inputs = list(features((values, more)))
    if len(inputs) == 1:
        (input,) = inputs
        if input.shape == op.shape:
            return input
        return Feature(input.grid, broadcast_dimensions(input, op.shape))
    return combine(op, aligned(op, inputs), loose=hidden(op, values, more))


def hidden(op: Operation, values: Any, more: dict) -> str | None:
    """Why a product or choice with a constant may see less, if it may: it has zeros, or a mask."""
    for value in filter(known, constants((values, more))):
        if value.numel() > 1 and value.dtype == torch.bool and value.any() and not value.all():
            return op.loose("hides units behind a mask")
        if value.is_floating_point() and value.numel() > 1:
            if op.name in SCALED.split() and (value == 0).any():
                return op.loose("multiplies with zeros")
            if op.name in ADDED and value.abs().max() > 1e30:
                return op.loose("hides units behind a mask")
    return None


def masked(op, *values, **more):
    """Element by element, where a constant may hide some.  Source: torch.where."""
    result, why = join(op, *values, **more), hidden(op, values, more)
    if why and not result.grid.loose:
        result = replace(result, grid=Grid(result.grid.units, straight(result), None, why))
    return result


def multiply(op, *factors, **more):
    """A product; `through_gates` leaves out what scales a whole map.

    Source: the gate of Hu et al. 2018, "Squeeze-and-Excitation Networks", arXiv:1709.01507.
    """
    inputs = list(features((factors, more)))
    gated = [feature for feature in inputs if not feature.alike]
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


def diff(op, input, n=1, dim=-1, prepend=None, append=None):
    """Source: torch.diff: each place from the one after it, `n` times."""
    if prepend is not None or append is not None:
        raise op.unsupported("has no rule for what is put in front or behind")
    dim %= len(input.shape)
    for _ in range(n):
        left = input.shape[dim] - 1
        shape = (*input.shape[:dim], left, *input.shape[dim + 1 :])
        both = [cut(op, input, dim, first, left) for first in (0, 1)]
        input = combine(op, aligned(op, both, shape), shape)
    return input


def type_like(op, input, *others, **more):
    """What only takes a shape or type from `others`.  Source: torch.Tensor.expand_as, type_as."""
    return join(op, input)
