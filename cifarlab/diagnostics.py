"""Where a network goes wrong, how sure it is of itself, and which places speak for a class.

Lesson: Look inside.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cifarlab import _arguments as arguments


def mistakes(log_probabilities: Tensor, labels: Tensor) -> Tensor:
    """Indices of the wrongly classified images, the most confident mistake first.

    `log_probabilities` (N, classes), `labels` (N,) int64 -> (M,) int64.

    Raises: TypeError or ValueError if an argument is not of its shape and range.
    """
    arguments.predictions(log_probabilities, labels)
    confidence, guesses = log_probabilities.max(dim=1)
    wrong = torch.nonzero(guesses != labels).flatten()
    return wrong[confidence[wrong].argsort(descending=True, stable=True)]


def confusion(log_probabilities: Tensor, labels: Tensor) -> Tensor:
    """How often class `row` was taken for class `column`: (classes, classes) int64.

    `log_probabilities` (N, classes), `labels` (N,) int64.

    Raises: TypeError or ValueError if an argument is not of its shape and range.
    """
    arguments.predictions(log_probabilities, labels)
    classes = log_probabilities.shape[1]
    pairs = labels * classes + log_probabilities.argmax(dim=1)
    return torch.bincount(pairs, minlength=classes**2).view(classes, classes)


@dataclass(frozen=True)
class Calibration:
    """How often a network is right, beside how sure it is; NaN in bins without images."""

    confidence: Tensor  # (bins,) mean probability of the guess
    accuracy: Tensor  # (bins,) share of right guesses, 0 to 1
    counts: Tensor  # (bins,) images
    error: float  # mean distance of the two over all images, 0 to 1


def calibration(log_probabilities: Tensor, labels: Tensor, bins: int = 10) -> Calibration:
    """Confidence and accuracy in `bins` equal steps of confidence from 0 to 1.

    `log_probabilities` (N, classes), `labels` (N,) int64. The error is the expected calibration
    error; its value depends on the number of bins.

    Raises: TypeError or ValueError if an argument is not of its shape and range, or there is no
    image.
    Source: Guo et al. 2017, "On Calibration of Modern Neural Networks", section 2,
    arXiv:1706.04599. Lesson: Look inside.
    """
    arguments.predictions(log_probabilities, labels)
    arguments.whole("bins", bins, 1, 10_000)
    confidence, guesses = log_probabilities.exp().double().max(dim=1)
    right = (guesses == labels).double()
    place = (confidence * bins).ceil().long().clamp(1, bins) - 1  # a bin holds its upper edge
    counts = torch.bincount(place, minlength=bins)
    mean_confidence = torch.bincount(place, confidence, bins) / counts
    accuracy = torch.bincount(place, right, bins) / counts
    distance = (mean_confidence - accuracy).abs().nan_to_num()
    return Calibration(
        mean_confidence, accuracy, counts, (counts * distance).sum().item() / len(labels)
    )


def lucky_errors(log_probabilities: Tensor, bins: int = 10, draws: int = 200) -> Tensor:
    """Calibration errors that luck alone would give, if every probability were true: (draws,).

    In each draw the labels are drawn anew, as the `log_probabilities` (N, classes) say. An error
    that many of these reach is no sign of a fault. The draws are torch's global generator's.

    Raises: TypeError or ValueError if an argument is not of its shape and range.
    Lesson: Look inside.
    """
    arguments.whole("draws", draws, 1, 100_000)
    arguments.shaped("log_probabilities", log_probabilities, Tensor, ("N", "classes"), "float32")
    no_labels = torch.zeros(len(log_probabilities), dtype=torch.int64)
    arguments.predictions(log_probabilities, no_labels)
    labels = torch.multinomial(log_probabilities.exp(), draws, replacement=True)  # (N, draws)
    return torch.tensor([calibration(log_probabilities, some, bins).error for some in labels.T])


def best_temperature(log_probabilities: Tensor, labels: Tensor) -> float:
    """The number, 0.1 to 10, by which to divide scores so that these labels are likeliest.

    `log_probabilities` (N, classes), `labels` (N,) int64: of images that the network has not
    learned from, and that nothing is reported on. Exact to 1 %. Above 1, the network was too sure.

    Raises: TypeError or ValueError if an argument is not of its shape and range.
    Source: Guo et al. 2017, "On Calibration of Modern Neural Networks", section 4.2,
    arXiv:1706.04599. Lesson: Look inside.
    """
    arguments.predictions(log_probabilities, labels)
    temperatures = torch.logspace(-1, 1, 464)  # each 1 % above the one before
    losses = [F.cross_entropy(log_probabilities / some, labels) for some in temperatures]
    return temperatures[torch.stack(losses).argmin()].item()


def auroc(known: Tensor, unknown: Tensor) -> float:
    """How often something known gets a higher number than something unknown, 0 to 1.

    `known` (N,) and `unknown` (M,) are what tells the two apart, such as the probability of the
    guess; all N * M pairs count, equal ones as half. 0.5 is chance, 1 is perfect. It is the area
    under the curve of true against false alarms, the *receiver operating characteristic*.

    Raises: TypeError or ValueError if an argument is not of its shape, empty, or not finite.
    Source: Hendrycks and Gimpel 2017, "A Baseline for Detecting Misclassified and
    Out-of-Distribution Examples in Neural Networks", section 2, arXiv:1610.02136.
    Lesson: Live predictions.
    """
    for name, values in (("known", known), ("unknown", unknown)):
        arguments.shaped(name, values, Tensor, ("N",), "float32")
        if not len(values):
            raise ValueError(f"{name} is empty; it must have one number or more.")
        if not values.isfinite().all():
            raise ValueError(f"{name} holds numbers that aren't finite; check what gave them.")
    ordered = unknown.sort().values
    below = torch.searchsorted(ordered, known)
    up_to = torch.searchsorted(ordered, known, right=True)
    return (below + up_to).double().mean().item() / (2 * len(unknown))


@torch.no_grad()
def class_activation_maps(network: nn.Module, images: Tensor) -> Tensor:
    """How much each place of the last feature map speaks for each class: (N, classes, h, w).

    Before global average pooling, the 1x1 convolution behind it is applied at every place. Nothing
    is approximated: the mean of a map over its places is the score of its class. `images`
    (N, 3, H, W) float32 as the network takes them. Leaves `network` in eval mode.

    Raises: TypeError or ValueError if `images` are not of that shape, or the network does not pool
    once, to one place, and then convolve 1x1, and nothing else.
    Source: Zhou et al. 2016, "Learning Deep Features for Discriminative Localization", section 2,
    arXiv:1512.04150. Lesson: Look inside.
    """
    arguments.instance("network", network, nn.Module)
    arguments.shaped("images", images, Tensor, ("N", 3, "H", "W"), "float32")
    layers = list(network.modules())
    pools = [place for place, part in enumerate(layers) if isinstance(part, nn.AdaptiveAvgPool2d)]
    heads = [part for part in layers[pools[0] :] if isinstance(part, nn.Conv2d)] if pools else []
    pools_to_one = bool(pools) and layers[pools[0]].output_size in (1, (1, 1))
    if len(pools) != 1 or not pools_to_one or len(heads) != 1 or heads[0].kernel_size != (1, 1):
        raise ValueError(
            f"{type(network).__name__} has {len(pools)} AdaptiveAvgPool2d and {len(heads)} "
            "convolutions behind it; maps need one of each, to 1x1 places and with a kernel of 1x1."
        )
    features = []
    hook = layers[pools[0]].register_forward_pre_hook(lambda _, inputs: features.append(inputs[0]))
    try:
        scores = network.eval()(images.to(heads[0].weight.device))
    finally:
        hook.remove()
    maps = F.conv2d(features[0], heads[0].weight, heads[0].bias)
    means = maps.mean(dim=(2, 3))
    # Of scores, and of their logarithms of probabilities, softmax makes the same.
    if scores.shape != means.shape or not torch.allclose(
        scores.softmax(dim=1), means.softmax(dim=1), atol=1e-3
    ):
        raise ValueError(
            f"{type(network).__name__} does more between its pooling and its scores than one 1x1 "
            "convolution; the mean of a map would not be the score of its class."
        )
    return maps.cpu()
