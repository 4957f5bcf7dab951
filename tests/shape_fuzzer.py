"""Random networks of PyTorch's shape operations, for `receptive_field` to be compared on.

Each is a list of steps, a step being a name and the numbers that it drew: so a failure can be
printed, run again and cut down.
"""

import math
import random

import torch
import torch.nn.functional as F
from torch import Tensor, nn

MOST = 600  # elements of a tensor, so that every pixel can be tried


def divisor(draw: random.Random, number: int) -> int:
    return draw.choice([d for d in range(1, number + 1) if number % d == 0])


def view(x: Tensor, draw) -> Tensor:
    """Some other shape of as many elements."""
    sizes, rest = [], x.numel()
    for _ in range(draw.randint(1, 4)):
        sizes.append(divisor(draw, rest))
        rest //= sizes[-1]
    return x.reshape(*sizes, rest)


def tear(x: Tensor, draw) -> Tensor:
    """One dimension as two."""
    d = draw.randrange(x.ndim)
    outer = divisor(draw, x.shape[d])
    return x.unflatten(d, (outer, x.shape[d] // outer))


def merge(x: Tensor, draw) -> Tensor:
    """Two dimensions as one."""
    d = draw.randrange(max(1, x.ndim - 1))
    return x.flatten(d, min(d + 1, x.ndim - 1))


def permute(x: Tensor, draw) -> Tensor:
    order = list(range(x.ndim))
    draw.shuffle(order)
    return x.permute(order)


def expand(x: Tensor, draw) -> Tensor:
    d = draw.randrange(x.ndim + 1)
    return x.unsqueeze(d).expand(*x.shape[:d], 2, *x.shape[d:])


def narrow(x: Tensor, draw) -> Tensor:
    d = draw.randrange(x.ndim)
    first = draw.randrange(x.shape[d])
    return x.narrow(d, first, draw.randint(1, x.shape[d] - first))


def strided(x: Tensor, draw) -> Tensor:
    d = draw.randrange(x.ndim)
    if x.shape[d] == 1:
        return x
    return x[(*[slice(None)] * d, slice(draw.randint(0, 1), None, 2))]


def select(x: Tensor, draw) -> Tensor:
    d = draw.randrange(x.ndim)
    return x.select(d, draw.randrange(x.shape[d])) if x.ndim > 2 else x


def listed(x: Tensor, draw) -> Tensor:
    d = draw.randrange(x.ndim)
    places = [draw.randrange(x.shape[d]) for _ in range(3)]
    return x[(*[slice(None)] * d, places)]


def swap_halves(x: Tensor, draw) -> Tensor:
    d = draw.randrange(x.ndim)
    return torch.cat(x.chunk(2, d)[::-1], d)


def beside(x: Tensor, draw) -> Tensor:
    d = draw.randrange(x.ndim)
    return torch.cat([x, x.flip(draw.randrange(x.ndim))], d)


def padded(x: Tensor, draw) -> Tensor:
    d = draw.randrange(x.ndim)
    shape = list(x.shape)
    shape[d] = 1
    return torch.cat([torch.zeros(shape), x], d)


def stacked(x: Tensor, draw) -> Tensor:
    return torch.stack([x, x.roll(1, draw.randrange(x.ndim))], draw.randrange(x.ndim + 1))


def unbound(x: Tensor, draw) -> Tensor:
    return sum(x.unbind(draw.randrange(x.ndim))) if x.ndim > 2 else x


def assigned(x: Tensor, draw) -> Tensor:
    d = draw.randrange(x.ndim)
    if x.shape[d] == 1:
        return x
    y = torch.zeros_like(x)
    y[(*[slice(None)] * d, slice(1, None))] = x[(*[slice(None)] * d, slice(0, -1))]
    return y


def turn(x: Tensor, draw) -> Tensor:
    d = draw.sample(range(x.ndim), 2) if x.ndim > 1 else None
    return torch.rot90(x, draw.randint(1, 3), d) if d else x


def matrix(x: Tensor, draw) -> Tensor:
    weights = torch.rand(x.shape[-1], draw.randint(1, 5)) + 0.1
    return x @ weights


def left_matrix(x: Tensor, draw) -> Tensor:
    return (torch.rand(draw.randint(1, 5), x.shape[-2]) + 0.1) @ x if x.ndim > 1 else x


def banded(x: Tensor, draw) -> Tensor:
    return x @ torch.eye(x.shape[-1]).roll(1, 0)


def attend(x: Tensor, draw) -> Tensor:
    if x.ndim < 2:
        return x
    return (x @ x.transpose(-2, -1)).softmax(-1) @ x


def outer(x: Tensor, draw) -> Tensor:
    if x.ndim < 2:
        return x
    return x.amax(-1, keepdim=True) @ x.amax(-2, keepdim=True)


def conv(x: Tensor, draw) -> Tensor:
    if x.ndim == 3:
        return F.conv1d(x, torch.rand(2, x.shape[1], 2) + 0.1, padding=1)
    if x.ndim == 4:
        return F.conv2d(x, torch.rand(2, x.shape[1], 2, 3) + 0.1, padding=1)
    return x


def depthwise(x: Tensor, draw) -> Tensor:
    if x.ndim != 4:
        return x
    return F.conv2d(x, torch.rand(x.shape[1], 1, 3, 1) + 0.1, padding=(1, 0), groups=x.shape[1])


def unfolded(x: Tensor, draw) -> Tensor:
    d = draw.randrange(x.ndim)
    return x.unfold(d, 2, 1) if x.shape[d] > 1 else x


def columns(x: Tensor, draw) -> Tensor:
    return F.unfold(x, 2, padding=1, stride=draw.randint(1, 2)) if x.ndim == 4 else x


def kron(x: Tensor, draw) -> Tensor:
    other = torch.rand(draw.randint(1, 2), draw.randint(1, 2)) + 0.1
    return torch.kron(x, other) if draw.random() < 0.5 else torch.kron(other, x)


def scattered(x: Tensor, draw) -> Tensor:
    """Each line along a dimension in an order of its own, among zeros."""
    d = draw.randrange(x.ndim)
    shape = [*x.shape]
    shape[d] += 1
    order = torch.tensor([draw.random() for _ in range(math.prod(shape))]).view(shape)
    return torch.zeros(shape).scatter(d, order.argsort(d).narrow(d, 0, x.shape[d]), x)


def copied(x: Tensor, draw) -> Tensor:
    d = draw.randrange(x.ndim)
    places = draw.sample(range(x.shape[d]), draw.randint(1, x.shape[d]))
    return x.index_copy(d, torch.tensor(places), x.narrow(d, 0, len(places)))


def added(x: Tensor, draw) -> Tensor:
    d = draw.randrange(x.ndim)
    places = torch.tensor([draw.randrange(x.shape[d]) for _ in range(x.shape[d])])
    return x.index_add(d, places, x)


def put(x: Tensor, draw) -> Tensor:
    row = draw.randrange(x.shape[0])
    return x.index_put((torch.tensor([row]),), x[draw.randrange(x.shape[0])][None])


def strides(x: Tensor, draw) -> Tensor:
    count = draw.randint(1, x.numel())
    return (x.contiguous() * 1).as_strided((count, 2), (1, min(2, x.numel() - count)))


STEPS = {
    "view": view,
    "tear": tear,
    "merge": merge,
    "permute": permute,
    "transpose": lambda x, draw: x.transpose(draw.randrange(x.ndim), draw.randrange(x.ndim)),
    "unsqueeze": lambda x, draw: x.unsqueeze(draw.randrange(x.ndim + 1)),
    "expand": expand,
    "repeat": lambda x, draw: x.repeat_interleave(2, draw.randrange(x.ndim)),
    "tile": lambda x, draw: x.repeat(*[draw.randint(1, 2) for _ in range(x.ndim)]),
    "flip": lambda x, draw: x.flip(draw.randrange(x.ndim)),
    "roll": lambda x, draw: x.roll(draw.randint(1, 3), draw.randrange(x.ndim)),
    "narrow": narrow,
    "strided": strided,
    "select": select,
    "listed": listed,
    "swap halves": swap_halves,
    "beside": beside,
    "padded": padded,
    "stacked": stacked,
    "unbound": unbound,
    "assigned": assigned,
    "turn": turn,
    "matrix": matrix,
    "left matrix": left_matrix,
    "banded": banded,
    "attend": attend,
    "outer": outer,
    "conv": conv,
    "depthwise": depthwise,
    "unfolded": unfolded,
    "columns": columns,
    "softmax": lambda x, draw: x.softmax(draw.randrange(x.ndim)),
    "mean": lambda x, draw: x.mean(draw.randrange(x.ndim), keepdim=True),
    "sum": lambda x, draw: x.sum(draw.randrange(x.ndim)) if x.ndim > 2 else x,
    "kron": kron,
    "scattered": scattered,
    "copied": copied,
    "added": added,
    "put": put,
    "strides": strides,
    "split": lambda x, draw: torch.cat(x.hsplit([1])[::-1], 1) if min(x.shape[:2]) > 1 else x,
    "cumsum": lambda x, draw: x.cumsum(draw.randrange(x.ndim)),
    "pad": lambda x, draw: F.pad(x, (draw.randint(0, 2), draw.randint(0, 1))),
    "gate": lambda x, draw: x * x.mean(draw.randrange(x.ndim), keepdim=True),
    "sum with itself": lambda x, draw: x + x.roll(1, draw.randrange(x.ndim)),
}


class Fuzz(nn.Module):
    """The random network of a seed."""

    def __init__(self, seed: int, steps: list[str] | None = None) -> None:
        super().__init__()
        self.seed = seed
        self.steps = steps or random.Random(seed).choices(
            list(STEPS), k=random.Random(seed).randint(1, 7)
        )

    def forward(self, image: Tensor) -> Tensor:
        torch.manual_seed(self.seed)
        draws = [random.Random(f"{self.seed} {n}") for n in range(len(self.steps))]
        x = image
        for name, draw in zip(self.steps, draws, strict=True):
            if x.numel() <= MOST and x.ndim < 7:
                x = STEPS[name](x, draw)
        if x.ndim < 4:  # as a map, whatever it has become
            return x.reshape(*[1] * (4 - x.ndim), *x.shape)
        return x.flatten(0, -4)
