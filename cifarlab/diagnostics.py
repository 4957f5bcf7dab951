"""Where a network goes wrong: its mistakes, and which classes it takes for which.

Lesson: Train under 200,000 parameters.
"""

import torch
from torch import Tensor


def mistakes(log_probabilities: Tensor, labels: Tensor) -> Tensor:
    """Indices of the wrongly classified images, the most confident mistake first.

    `log_probabilities` (N, classes), `labels` (N,) int64 -> (M,) int64.
    """
    confidence, guesses = log_probabilities.max(dim=1)
    wrong = torch.nonzero(guesses != labels).flatten()
    return wrong[confidence[wrong].argsort(descending=True, stable=True)]


def confusion(log_probabilities: Tensor, labels: Tensor) -> Tensor:
    """How often class `row` was taken for class `column`: (classes, classes) int64.

    `log_probabilities` (N, classes), `labels` (N,) int64.
    """
    classes = log_probabilities.shape[1]
    pairs = labels * classes + log_probabilities.argmax(dim=1)
    return torch.bincount(pairs, minlength=classes**2).view(classes, classes)
