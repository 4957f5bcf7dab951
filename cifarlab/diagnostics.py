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


@torch.no_grad()
def class_activation_maps(network: nn.Module, images: Tensor) -> Tensor:
    """How much each place of the last feature map speaks for each class: (N, classes, h, w).

    Before global average pooling, the 1x1 convolution behind it is applied at every place. Nothing
    is approximated: the mean of a map over its places is the score of its class. `images`
    (N, 3, H, W) float32 as the network takes them. Leaves `network` in eval mode.

    Raises: TypeError or ValueError if `images` are not of that shape, or the network does not pool
    once, to one place, and then convolve 1x1.
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
        network.eval()(images.to(heads[0].weight.device))
    finally:
        hook.remove()
    return F.conv2d(features[0], heads[0].weight, heads[0].bias).cpu()
