"""Protects the figures about mistakes: the right images, in the right order, counted once."""

import torch

from cifarlab import diagnostics

# Four images of three classes: right; wrong, 70 % sure; right; wrong, 90 % sure.
PROBABILITIES = torch.tensor([[0.8, 0.1, 0.1], [0.7, 0.2, 0.1], [0.1, 0.6, 0.3], [0.05, 0.05, 0.9]])
LABELS = torch.tensor([0, 1, 1, 0])


def test_the_most_confident_mistake_comes_first_and_no_hit_is_listed():
    assert diagnostics.mistakes(PROBABILITIES.log(), LABELS).tolist() == [3, 1]


def test_a_perfect_network_has_no_mistakes():
    hits = torch.tensor([0, 2])
    assert diagnostics.mistakes(PROBABILITIES[hits].log(), LABELS[hits]).tolist() == []


def test_confusion_has_the_truth_in_rows_and_the_guess_in_columns():
    counts = diagnostics.confusion(PROBABILITIES.log(), LABELS)
    assert counts.tolist() == [[1, 0, 1], [1, 1, 0], [0, 0, 0]]
