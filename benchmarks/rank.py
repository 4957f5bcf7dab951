"""How right is a trained network whose dense 3x3 kernels are cut to rank 1, 2, ... 9?

    python -m benchmarks.rank [--images 1000]

On the CPU, one thread. Each dense layer of the shipped `baseline-seed0` is replaced by the nearest
one of that rank, in two ways: the kernels that read one channel share their patterns (depthwise
first), or those that write one (pointwise first). Accuracies are those of the first images of the
validation split; the network has learned from them, as from all 50,000. The control deals the
kernels of a layer anew among its pairs of channels: what rank 1 keeps of those is what any kernels
of the layer have in common. Writes `cifarlab/records/shipped/benchmarks/rank.json`, from which the
lesson draws its curve.
"""

import argparse
import json

import torch
from torch import Tensor, nn

from benchmarks import machine
from cifarlab import data, engine, records

NETWORK = "baseline-seed0"
AXES = {"depthwise first": 1, "pointwise first": 0}  # the axis whose channels keep their patterns
RANKS = range(1, 10)  # nine taps: rank 9 is the layer itself
SHUFFLES = 5
SHOWN = 6  # kernels of one map of the first layer, for the eye
BATCH = 250


def dense_layers(network: nn.Module) -> list[nn.Conv2d]:
    """All 3x3 convolutions that mix channels, but for the one that reads the image."""
    return [
        layer
        for layer in network.modules()
        if isinstance(layer, nn.Conv2d)
        and layer.kernel_size == (3, 3)
        and layer.groups == 1
        and layer.in_channels > 3
    ]


def tables(weights: Tensor, axis: int) -> Tensor:
    """(out, in, 3, 3) -> (channels of `axis`, channels of the other, 9)."""
    return weights.flatten(start_dim=2).transpose(0, axis)


def cut(weights: Tensor, rank: int, axis: int) -> Tensor:
    """The nearest weights whose tables have that rank."""
    left, values, right = torch.linalg.svd(tables(weights, axis), full_matrices=False)
    near = left[..., :rank] * values[..., None, :rank] @ right[..., :rank, :]
    return near.transpose(0, axis).reshape(weights.shape)


def kept(layers: list[Tensor], axis: int) -> list[float]:
    """Share of all squared weights that ranks 1 to 9 keep."""
    squares = sum(torch.linalg.svdvals(tables(each, axis)).square().sum(dim=0) for each in layers)
    return [round(share, 4) for share in (squares.cumsum(0) / squares.sum()).tolist()]


def shuffled(weights: Tensor) -> Tensor:
    """The same kernels, dealt anew among all pairs of channels."""
    kernels = weights.flatten(end_dim=1)
    return kernels[torch.randperm(len(kernels))].view_as(weights)


def shown(weights: Tensor) -> list:
    """The first kernels that read the first map, at each rank: nine rows of nine taps each."""
    kernels = [cut(weights, rank, axis=1)[:SHOWN, 0].flatten(1) for rank in RANKS]
    return [[[round(tap, 3) for tap in kernel] for kernel in row.tolist()] for row in kernels]


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=1000)
    count = parser.parse_args().images
    numerics = machine.one_thread()
    torch.manual_seed(0)
    _, validation = data.split_validation(data.load()[0])
    recipe = records.load(NETWORK).recipe
    batches = data.batches(
        validation.take(range(count)), data.pipeline(mean=recipe.mean, std=recipe.std), BATCH
    )
    network = numerics.place(records.load_network(NETWORK).eval())
    layers = dense_layers(network)
    whole = [layer.weight.detach().clone() for layer in layers]
    dealt = [[shuffled(weights) for weights in whole] for _ in range(SHUFFLES)]
    found = {
        **machine.fields(numerics),
        "network": NETWORK,
        "images": f"the first {count} of the validation split, which the network has learned from",
        "count": count,
        "layers": len(layers),
        "kernels": shown(whole[0]),
        "orders": {
            name: {
                "squares_kept": kept(whole, axis),
                "squares_kept_by_rank_1_of_each_layer": [kept([w], axis)[0] for w in whole],
                "squares_kept_of_shuffled_kernels": [kept(some, axis) for some in dealt],
                "right": [],
            }
            for name, axis in AXES.items()
        },
    }
    for rank in RANKS:
        for name, axis in AXES.items():
            for layer, weights in zip(layers, whole, strict=True):
                layer.weight.data = cut(weights, rank, axis)
            score = engine.evaluate(network, batches, numerics)
            found["orders"][name]["right"].append(round(score.accuracy * count / 100))
            print(rank, name, found["orders"][name]["right"][-1], flush=True)
    for order in found["orders"].values():
        order["accuracy"] = [100 * some / count for some in order["right"]]
        found["accuracy_uncut"] = order["accuracy"][-1]
    machine.save("rank", found)
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
