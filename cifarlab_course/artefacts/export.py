"""Write a trained network so that a page can run it: in any browser, with no server.

    course export accurate-seed0                     for the book's page
    course export runs/mine-seed0 --out mine.html    your own, as a page of its own

What is left of a network is a list of steps and their numbers: a batch norm becomes part of the
convolution before it, what does nothing outside training goes, and weights are rounded to whole
numbers of 8 bits. `cifarlab/figures/network.js` runs the steps. Lesson: Live predictions.
"""

import base64
import copy
import json
import operator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, fx, nn

from cifarlab import data, diagnostics, engine, figures, records, runs
from cifarlab._files import replacing
from cifarlab.data import Split
from cifarlab.records import Record

MOST = 127  # of the 8 bits of a weight; -128 is not used
SAMPLE = 20  # images on which what is written is compared with the network

KINDS: dict[str, list[Any]] = {  # classes, functions, and names of a tensor's methods
    "convolution": [nn.Conv2d],
    "norm": [nn.BatchNorm2d],
    "relu": [nn.ReLU, F.relu, torch.relu, "relu"],
    "add": [operator.add, operator.iadd, torch.add, "add"],
    "pool": [nn.AdaptiveAvgPool2d],
    "nothing": [nn.Identity, nn.Dropout, nn.Dropout2d],
    "end": [nn.Flatten, torch.flatten, "flatten", nn.LogSoftmax, F.log_softmax, "log_softmax"],
}
SUPPORTED = (
    "A page runs Conv2d, BatchNorm2d, ReLU, the sum of two maps and dropout; then, once, "
    "AdaptiveAvgPool2d(1), and behind it only 1x1 convolutions, flatten and log-softmax."
)


@dataclass
class Step:
    """A map made of earlier ones. Map 0 is the picture, map n what the n-th step gives."""

    kind: str  # "convolution", "relu" or "add"
    sources: list[int]  # numbers of the maps that it reads
    # Of a convolution, in double precision: what each output sums up, and what becomes of the sum.
    weight: Tensor = field(default_factory=lambda: torch.empty(0))  # (out, in / groups, h, w)
    scale: Tensor = field(default_factory=lambda: torch.empty(0))  # (out,)
    bias: Tensor = field(default_factory=lambda: torch.empty(0))  # (out,)
    layer: dict[str, Any] = field(default_factory=dict)  # stride, padding and so on

    def fold(self, norm: nn.BatchNorm2d) -> None:
        """Let the convolution do what `norm` does behind it: multiply each channel, and add."""
        scale, shift = scale_and_shift(norm)
        self.scale = self.scale * scale
        self.bias = self.bias * scale + shift

    def rounded(self) -> "Step":
        """The step as a page has it: each output's weights whole numbers from -127 to 127.

        Raises: ValueError if a weight is no finite number.
        """
        if self.kind != "convolution":
            return self
        if not self.weight.isfinite().all():
            raise ValueError("a weight is no finite number, so there is nothing to write.")
        step = self.weight.abs().amax(dim=(1, 2, 3)) / MOST
        integers = (self.weight / step.where(step > 0, 1)[:, None, None, None]).round()
        # In single precision: the scales, of which a batch norm may make anything, and the biases.
        return replace(
            self, weight=integers, scale=(self.scale * step).float(), bias=self.bias.float()
        )

    def run(self, maps: list[Tensor]) -> Tensor:
        """The map (N, channels, H, W), as PyTorch computes it."""
        first, *others = (maps[number] for number in self.sources)
        if self.kind == "relu":
            return first.relu()
        if self.kind == "add":
            return first + others[0]
        top, bottom, left, right = self.layer["padding"]
        mode = self.layer["padding_mode"].replace("zeros", "constant")
        return F.conv2d(
            F.pad(first, (left, right, top, bottom), mode=mode),
            (self.weight * self.scale[:, None, None, None]).to(first.dtype),
            self.bias.to(first.dtype),
            stride=self.layer["stride"],
            dilation=self.layer["dilation"],
            groups=self.layer["groups"],
        )


def scale_and_shift(norm: nn.BatchNorm2d) -> tuple[Tensor, Tensor]:
    """What a batch norm multiplies each channel by, outside training, and what it adds then."""
    assert norm.running_mean is not None and norm.running_var is not None, "else it is refused"
    ones = torch.ones(norm.num_features, dtype=torch.double)
    weight = ones if norm.weight is None else norm.weight.detach().double()
    bias = 0 * ones if norm.bias is None else norm.bias.detach().double()
    scale = weight / (norm.running_var.double() + norm.eps).sqrt()
    return scale, bias - norm.running_mean.double() * scale


def class_maps(plan: list[Step], images: Tensor) -> Tensor:
    """What the steps make of `images` (N, 3, H, W): (N, classes, h, w)."""
    maps = [images]
    for step in plan:
        maps.append(step.run(maps))
    return maps[-1]


# --------------------------------------------------------------------------- network to steps


class Tracer(fx.Tracer):
    """Sees the package's own kinds of `nn.Conv2d` as one layer each, like PyTorch's."""

    def is_leaf_module(self, module: nn.Module, name: str) -> bool:
        """Is `module` one layer, not made of others?"""
        return kind_of(module) == "convolution" or super().is_leaf_module(module, name)


def kind_of(layer: Any) -> str | None:
    """The name in KINDS of a module, a function or a tensor's method; None if it has none."""
    if isinstance(layer, nn.Conv2d):  # the package's too; `compare` finds one that does otherwise
        return "convolution"
    what = type(layer) if isinstance(layer, nn.Module) else layer
    return next((kind for kind, members in KINDS.items() if what in members), None)


def steps(network: nn.Module) -> list[Step]:
    """The steps from a picture to the class-activation maps, whose means are the scores.

    None of them pools: the mean of weighted sums is the weighted sum of means, so the 1x1
    convolution behind the pooling may as well stand before it, and the maps cost nothing.

    Raises: ValueError naming the first layer that a page can't run, and what it can.
    """
    try:
        graph = Tracer().trace(network.eval())
    except Exception as error:  # whatever a network's own code throws
        raise ValueError(
            f"{type(network).__name__} can't be traced ({error}). {SUPPORTED}"
        ) from error
    modules = dict(network.named_modules())
    plan: list[Step] = []
    maps: dict[fx.Node, int] = {}  # the number of the map that a node gives
    pooled = False
    for node in graph.nodes:
        layer = modules[node.target] if node.op == "call_module" else node.target
        inputs, sources = node.all_input_nodes, [maps[source] for source in node.all_input_nodes]
        kind = kind_of(layer)
        new = None
        if node.op == "placeholder" and not maps:
            maps[node] = 0
            continue
        if node.op == "output":
            if not pooled or node.args[0] is not inputs[0]:
                raise ValueError(f"{type(network).__name__} does not pool to scores. {SUPPORTED}")
            break
        if kind == "convolution" and (not pooled or layer.kernel_size == (1, 1)):
            new = convolution(layer, sources)
        elif kind == "norm" and layer.running_mean is not None:
            before = plan[sources[0] - 1] if sources[0] else None
            if before and before.kind == "convolution" and len(inputs[0].users) == 1:
                before.fold(layer)
            else:
                new = alone(layer, sources)
        elif kind == "relu" and not pooled:
            new = Step("relu", sources)
        elif kind == "add" and not pooled and list(node.args) == inputs and not node.kwargs:
            new = Step("add", sources)
        elif kind == "pool" and not pooled and layer.output_size in (1, (1, 1)):
            pooled = True
        elif kind != "nothing" and not (kind == "end" and pooled):
            raise ValueError(f"{described(node, layer)} is none that a page runs. {SUPPORTED}")
        if new:
            plan.append(new)
        maps[node] = len(plan) if new else sources[0]
    return plan


def described(node: fx.Node, layer: Any) -> str:
    """A layer, in the words of the network's author."""
    if isinstance(layer, nn.Module):
        return f"the layer {node.target!r}, {layer},"
    return f"the step {node.name!r} of {getattr(node.target, '__name__', node.target)!r}"


def convolution(layer: nn.Conv2d, sources: list[int]) -> Step:
    """The step of a convolution, its padding as pixels above, below, left and right."""
    padding = []
    for axis in range(2):
        if layer.padding == "same":  # where the sum is odd, the greater half comes last
            total = layer.dilation[axis] * (layer.kernel_size[axis] - 1)
            padding += [total // 2, total - total // 2]
        elif not isinstance(layer.padding, str):  # else "valid": none
            padding += [layer.padding[axis]] * 2
        else:
            padding += [0, 0]
    ones = torch.ones(layer.out_channels, dtype=torch.double)
    return Step(
        "convolution",
        sources,
        weight=layer.weight.detach().double(),
        scale=ones,
        bias=0 * ones if layer.bias is None else layer.bias.detach().double(),
        layer={
            "stride": list(layer.stride),
            "padding": padding,
            "dilation": list(layer.dilation),
            "groups": layer.groups,
            "padding_mode": layer.padding_mode,
        },
    )


def alone(norm: nn.BatchNorm2d, sources: list[int]) -> Step:
    """A batch norm that follows no convolution: a 1x1 convolution of each channel by itself."""
    channels = norm.num_features
    step = convolution(nn.Conv2d(channels, channels, 1, groups=channels, bias=False), sources)
    step.weight = torch.ones_like(step.weight)
    step.fold(norm)
    return step


# ------------------------------------------------------------------------------ steps to JSON


def written(plan: list[Step]) -> dict:
    """The steps as JSON, `rounded`, with their numbers as text.

    A convolution's weights lie as (out, height, width, in / groups): what one output reads, side by
    side.
    """
    entries = []
    for step in map(Step.rounded, plan):
        entry = {"kind": step.kind, "sources": step.sources}
        if step.kind == "convolution":
            entry |= {
                "shape": list(step.weight.shape),
                **step.layer,
                "weights": as_text(step.weight.permute(0, 2, 3, 1), "i1"),
                "scales": as_text(step.scale, "<f4"),
                "biases": as_text(step.bias, "<f4"),
            }
        entries.append(entry)
    return {"steps": entries}


def as_text(numbers: Tensor, form: str) -> str:
    """The numbers in NumPy's `form`, the lowest byte first, in base64."""
    return base64.b64encode(numbers.numpy().astype(form).tobytes()).decode()


def exported(name: str) -> dict:
    """All that a page needs of the network of a record: what it is, its steps, how right it is.

    Raises: ValueError if the record is not of CIFAR-10, has no weights, or a page can't run its
    network.
    """
    record = records.load(name)
    if not record.data.startswith("CIFAR-10"):
        raise ValueError(f"{name} learned from {record.data}; the page is about CIFAR-10.")
    network = records.load_network(name)
    plan = steps(network)
    held_out = runs.held_out_of(record)
    compare(network, plan, images_of(record, held_out.take(range(SAMPLE))))
    return {
        "about": about(record),
        "classes": list(held_out.classes),
        "mean": list(record.recipe.mean),
        "std": list(record.recipe.std),
        **written(plan),
        "calibration": calibration(record, plan, held_out),
    }


def about(record: Record) -> dict:
    """What the page says of the network."""
    scores = [epoch.held_out for epoch in record.history if epoch.held_out]
    return {
        "record": record.name,
        "network": record.recipe.network,
        "parameters": record.parameters,
        "multiply_adds": record.multiply_adds,
        "epochs": len(record.history),
        "planned": record.recipe.epochs,
        "scored_on": record.scored_on,
        "accuracy": scores[-1].accuracy if scores else None,  # per cent
    }


def images_of(record: Record, split: Split) -> Tensor:
    """The images (N, 3, H, W) of `split`, normalised as the record's recipe says."""
    plain = data.pipeline(mean=record.recipe.mean, std=record.recipe.std)
    return torch.stack([plain(image=image)["image"] for image in split.images])


@torch.no_grad()
def compare(network: nn.Module, plan: list[Step], images: Tensor) -> None:
    """Check the steps on `images`.

    Raises: ValueError if they give other probabilities than `network`.
    """
    expected = copy.deepcopy(network).double()(images.double()).softmax(dim=1)
    probabilities = class_maps(plan, images.double()).mean(dim=(2, 3)).softmax(dim=1)
    if probabilities.shape != expected.shape or (probabilities - expected).abs().max() > 1e-6:
        raise ValueError(
            f"{type(network).__name__} computes something else than its layers in turn, so a page "
            f"can't run it. {SUPPORTED}"
        )


@torch.inference_mode()
def calibration(record: Record, plan: list[Step], held_out: Split) -> dict:
    """How often the steps, rounded, are right, in ten steps of how sure they are.

    Where they never are that sure, it is null.
    """
    plain = data.pipeline(mean=record.recipe.mean, std=record.recipe.std)
    small = [step.rounded() for step in plan]
    outputs, labels = [], []
    # All maps of a batch are kept, so it is a small one.
    for images, truth in engine.progress(data.batches(held_out, plain, 50), "calibration"):
        outputs.append(class_maps(small, images).mean(dim=(2, 3)).log_softmax(dim=1))
        labels.append(truth)
    calibrated = diagnostics.calibration(torch.cat(outputs), torch.cat(labels))
    return {
        "counts": calibrated.counts.tolist(),
        "accuracy": [None if np.isnan(share) else share for share in calibrated.accuracy.tolist()],
    }


def page(network: dict) -> str:
    """A web page of one file that runs the network."""
    name = network["about"]["record"]
    shown = figures.show("live-predictions", networks=[network])._repr_html_()
    return (
        '<!doctype html>\n<html lang="en">\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width">\n'
        '<meta name="color-scheme" content="light dark">\n'
        f"<title>Live predictions: {name}</title>\n<h1>Live predictions: {name}</h1>\n{shown}"
    )


def home(name: str) -> Path:
    """Where the book's page looks for the network of a record, called after its recipe."""
    return figures.FOLDER / f"live-{records.load(name).recipe.name}.json"


def write(name: str, path: Path) -> Path:
    """Write the network of a shipped record or a run's folder down, as .json or as a .html page.

    Raises: ValueError or OSError where that can't be done.
    """
    if path.suffix not in (".json", ".html"):
        raise ValueError(f"--out {path} ends neither in .json nor in .html; name one.")
    network = exported(name)
    text = page(network) if path.suffix == ".html" else json.dumps(network, indent=1)
    with replacing(path) as temporary:
        temporary.write_text(text + "\n", encoding="utf-8")
    return path
