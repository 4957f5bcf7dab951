"""The under-200k challenge: does a network keep to its rules?

Lesson: Capstone.
"""

import copy
import itertools
from collections.abc import Iterator
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils.flop_counter import FlopCounterMode

from cifarlab import _arguments as arguments
from cifarlab import model, receptive_field

LIMIT = 200_000  # parameters, frozen ones included
STATISTICS = LIMIT // 10  # running statistics of norms; more of them are a store, and count
SIZES = [(32, 32), (40, 40), (64, 48)]  # (H, W) of images that a network must take


def violations(network: nn.Module) -> list[str]:
    """What keeps `network` out of the challenge, one sentence for each broken rule.

    An empty list means that it takes part: it has fewer than 200,000 parameters, wherever it keeps
    them, gives ten scores for RGB images of any size and flattens no map on the way, has a dilated
    and a depthwise separable convolution whose weights change the scores, and before its global
    pooling a unit in the middle sees the whole 32x32 image, without holes. `network` stays as it
    is.

    Flattening a map gives what follows a weight for each place, and so ties it to one size. Behind
    a global pooling there is one place left: there a fully connected layer and a 1x1 convolution
    are the same, and both may be used.

    Raises: TypeError if it is no torch.nn.Module.
    Lesson: Capstone.
    """
    arguments.instance("network", network, nn.Module)
    try:
        network = copy.deepcopy(network).cpu().float().eval()
    except RuntimeError as error:  # torch's own, where a weight is computed and kept
        return [f"It can't be copied: {_told(error)}"]
    held, used, failure = _Held(network), set[str](), ""
    try:
        held.watch(torch.full((2, 3, *SIZES[0]), 0.5))
        used = used_convolutions(network)
    except Exception as error:  # whatever somebody's own network may raise
        failure = _told(error)
    broken = []
    count = model.count_parameters(network) + held.elsewhere
    if count >= LIMIT:
        more = f", and {held.elsewhere:,} numbers kept elsewhere" if held.elsewhere else ""
        broken.append(
            f"It has {count:,} parameters, {count - LIMIT + 1:,} too many; frozen ones count "
            f"too{more}."
        )
    if held.flattened:
        broken.append(
            f"It flattens a map of {held.flattened} places, so that what follows needs a weight "
            "for each of them. Pool over all places first."
        )
    if failure and not held.flattened:  # else that is why
        broken.append(f"It does not give (N, 10) scores for (N, 3, H, W) images: {failure}")
    if failure:
        return broken
    return broken + missing_convolutions(network, used) + narrow_view(network)


def _told(error: Exception) -> str:
    """The first line of an error, or what it is."""
    return str(error).strip().partition("\n")[0] or type(error).__name__


class Watched(NamedTuple):
    """What a network gave for some images, and what it took."""

    scores: Tensor
    parameters: int  # numbers, wherever it keeps them
    multiply_adds: int  # for one image, of convolutions and matrix products


def watched(network: nn.Module, images: Tensor) -> Watched:
    """What `network` gives for `images` (N, 3, H, W), and what it computes with meanwhile.

    Counted are numbers in parameters, buffers and plain tensors alike, and the work of functions
    such as `F.conv2d` like that of layers. `network` stays in the mode that it has.

    Raises: TypeError if it is no torch.nn.Module; what the network raises.
    """
    arguments.instance("network", network, nn.Module)
    held = _Held(network)
    with FlopCounterMode(display=False) as counter:
        scores = held.watch(images)
    multiply_adds = counter.get_total_flops() // 2 // len(images)
    return Watched(scores, model.count_parameters(network) + held.elsewhere, multiply_adds)


_MAKERS = "tensor as_tensor from_numpy frombuffer asarray new_tensor".split()  # of other things
_NORMS = "batch_norm instance_norm __get__".split()  # what may look at running statistics


class _Held(TorchFunctionMode):
    """What a network computes with, seen while it is active, that no module of it declares.

    `elsewhere` counts numbers: those in buffers, but for running statistics that only norms use,
    if there are no more than `STATISTICS`, and those of tensors that are neither images nor made
    of them. `flattened` is the size of the first map, such as 8x8, that lost its places to one
    long vector.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network, self.flattened = network, ""
        # By their place in memory; kept, so that no other tensor takes it.
        self.known: dict[int, Tensor] = {
            _storage(tensor): tensor for tensor in network.parameters()
        }
        self.statistics = {
            _storage(tensor): tensor
            for part in network.modules()
            if isinstance(part, nn.modules.batchnorm._NormBase)
            for tensor in part.buffers(recurse=False)
        }
        # A norm of nothing but zeros gives whatever its statistics hold.
        if sum(tensor.numel() for tensor in self.statistics.values()) > STATISTICS:
            self.statistics = {}
        self.elsewhere = 0
        for tensor in network.buffers():
            if _storage(tensor) not in self.statistics:
                self.count(tensor)

    def watch(self, images: Tensor) -> Tensor:
        """The network's scores; look on while it computes them."""
        self.known[_storage(images)] = images
        with self, torch.no_grad():
            return self.network(images)

    def __torch_function__(self, function, types, args=(), kwargs=None):
        name = getattr(function, "__name__", "")
        before = list(_tensors((args, kwargs)))
        for tensor in before:
            if _storage(tensor) not in self.statistics or name not in _NORMS:
                self.count(tensor)
        result = function(*args, **(kwargs or {}))
        for tensor in _tensors(result):
            if name in _MAKERS:
                self.count(tensor)
            elif _storage(tensor) not in self.statistics:
                self.known.setdefault(_storage(tensor), tensor)
            if before and not self.flattened:
                self.flattened = _places_lost(before[0], tensor)
        return result

    def count(self, tensor: Tensor) -> None:
        """Count the numbers of a tensor that is met for the first time."""
        if _storage(tensor) not in self.known:
            self.elsewhere += tensor.numel()
            self.known[_storage(tensor)] = tensor


def _places_lost(maps: Tensor, vectors: Tensor) -> str:
    """The size of `maps` (N, C, ...), if `vectors` (N, C * places) hold each in one row."""
    in_a_row = maps.dim() > 2 and vectors.shape == (len(maps), maps[0].numel())
    lost = in_a_row and sum(length > 1 for length in maps.shape[1:]) > 1  # else one was left
    return "x".join(map(str, maps.shape[2:])) if lost else ""


def _storage(tensor: Tensor) -> int:
    """Where the numbers of a tensor lie in memory: views of it lie there too."""
    return tensor.untyped_storage().data_ptr()


def _tensors(values: Any) -> Iterator[Tensor]:
    """All tensors within tuples, lists and dictionaries."""
    if torch.is_tensor(values):
        yield values
    elif isinstance(values, dict):
        yield from _tensors([*values.values()])
    elif isinstance(values, tuple | list):
        for value in values:
            yield from _tensors(value)


def used_convolutions(network: nn.Module) -> set[str]:
    """Names of the convolutions of `network` whose weights change its scores.

    Raises: ValueError, or what the network raises, if it does not give ten scores for each size,
    or not the same ones again.
    """
    generator = torch.Generator().manual_seed(0)
    for size in reversed(SIZES):
        images = torch.rand(2, 3, *size, generator=generator)
        scores = network(images)  # (2, 10)
        if not torch.is_tensor(scores) or scores.shape != (2, 10):
            shape = tuple(scores.shape) if torch.is_tensor(scores) else type(scores).__name__
            raise ValueError(f"for images (2, 3, {size[0]}, {size[1]}) it gives {shape}.")
    before = scores.detach()
    if not torch.equal(network(images), before):  # a number that is none equals nothing, either
        raise ValueError(
            "for the same images it gives other scores each time, or some that are no numbers."
        )
    used = set()
    for name, layer in network.named_modules():
        if isinstance(layer, nn.Conv2d):
            # Where the weights are computed, as under `weight_norm`, what they're computed from.
            parts = layer.named_parameters()
            weights: list[Tensor] = [each for part, each in parts if "bias" not in part]
            weights = weights or [layer.weight]  # kept in a buffer
            originals = [each.detach().clone() for each in weights]
            with torch.no_grad():
                # New weights, not larger ones: a norm of the images' own undoes a factor.
                for each in weights:
                    each.copy_(torch.randn(each.shape, generator=generator))
                if not torch.equal(network(images), before):
                    used.add(name)
                for each, original in zip(weights, originals, strict=True):
                    each.copy_(original)
    return used


def missing_convolutions(network: nn.Module, used: set[str]) -> list[str]:
    """A sentence for each kind of convolution that the challenge asks for and `used` lacks."""
    layers = [(name, part) for name, part in network.named_modules() if name in used]
    sentences = []
    if not any(max(spread(layer)) > 1 for _, layer in layers):
        sentences.append(
            "No dilated convolution changes its scores: it needs one with a kernel above 1 and a "
            "dilation above 1."
        )
    if not any(
        is_depthwise(first) and is_pointwise(second)
        for (_, first), (_, second) in itertools.pairwise(layers)
    ):
        sentences.append(
            "No depthwise separable convolution changes its scores: it needs one with as many "
            "groups as channels and a kernel above 1, and a 1x1 convolution right after it."
        )
    return sentences


def spread(layer: nn.Conv2d) -> list[int]:
    """Pixels from tap to tap along each axis; 0 where there is only one tap."""
    return [d if k > 1 else 0 for k, d in zip(layer.kernel_size, layer.dilation, strict=True)]


def is_depthwise(layer: nn.Conv2d) -> bool:
    """Does every channel stay by itself, and look further than its own pixel?"""
    return layer.groups == layer.in_channels > 1 and max(layer.kernel_size) > 1


def is_pointwise(layer: nn.Conv2d) -> bool:
    """Does it mix all channels at one place?"""
    return layer.kernel_size == (1, 1) and layer.groups == 1


def narrow_view(network: nn.Module) -> list[str]:
    """A sentence if there is no global pooling, or no unit before it that sees all of the image."""
    size = SIZES[0]
    try:
        analysis = receptive_field.analyze(network, size, channels=3)
    except ValueError as error:
        return [f"Its receptive field can't be worked out: {error}"]
    last = analysis.last_map
    if last is None:
        return ["Its last map has one unit: it sees the image by strides, not by pooling."]
    middle = [(y, x) for y in central(last.units[0]) for x in central(last.units[1])]
    seen = max(int(last.taps(y, x).sum()) for y, x in middle)
    pixels = size[0] * size[1]
    if seen == pixels:
        return []
    return [
        f"A unit in the middle of its last map ({last.units[0]}x{last.units[1]} units) sees "
        f"{seen:,} of the {pixels:,} pixels. Add layers, dilate them or give them a stride; "
        "`receptive_field.analyze` shows what each one adds."
    ]


def central(units: int) -> list[int]:
    """The unit in the middle of an axis; of an even number, the two beside it."""
    return sorted({(units - 1) // 2, units // 2})
