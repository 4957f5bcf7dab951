"""Protects what is said of a network: its mistakes, its confidence, and where it looks."""

import math

import pytest
import torch
from torch import nn

from cifarlab import diagnostics, model

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


# ------------------------------------------------------------------------------- calibration


def two_classes(confidences):
    """(N, 2) log-probabilities of guesses of class 1."""
    sure = torch.tensor(confidences)
    return torch.stack([1 - sure, sure], dim=1).log()


def test_calibration_by_hand():
    """Three guesses at 0.75, two of them right; one at 0.95, wrong."""
    found = diagnostics.calibration(
        two_classes([0.75, 0.75, 0.75, 0.95]), torch.tensor([1, 1, 0, 0]), bins=10
    )
    assert found.counts.tolist() == [0, 0, 0, 0, 0, 0, 0, 3, 0, 1]
    assert found.confidence[7].item() == pytest.approx(0.75)
    assert found.accuracy[7].item() == pytest.approx(2 / 3)
    assert found.error == pytest.approx((3 * (0.75 - 2 / 3) + 1 * 0.95) / 4)
    assert math.isnan(found.accuracy[0])


def test_a_certain_guess_falls_into_the_last_bin():
    found = diagnostics.calibration(torch.tensor([[0.0, -math.inf]]), torch.tensor([0]), bins=5)
    assert found.counts.tolist() == [0, 0, 0, 0, 1]
    assert found.error == 0


@pytest.mark.parametrize(("classes", "place"), [(2, 1), (4, 0)])
def test_a_guess_at_the_edge_of_two_bins_belongs_to_the_lower_one(classes, place):
    """As the page of live predictions says it: "90 to 100 % sure" begins above 90 %."""
    even = torch.full((1, classes), 1 / classes).log()
    assert even.exp().max() == 1 / classes
    counts = diagnostics.calibration(even, torch.tensor([0]), bins=4).counts
    assert counts.nonzero().flatten().tolist() == [place]


def test_guesses_as_sure_as_they_are_right_have_little_error():
    """20,000 coins; a larger error than 0.02 is rarer than one seed in a million."""
    generator = torch.Generator().manual_seed(0)
    sure = 0.5 + torch.rand(20_000, generator=generator) / 2
    labels = (torch.rand(20_000, generator=generator) < sure).long()
    log_probabilities = two_classes(sure.tolist())
    assert diagnostics.calibration(log_probabilities, labels).error < 0.02
    assert diagnostics.calibration(log_probabilities, 1 - labels).error > 0.4


@pytest.mark.parametrize(
    ("images", "bins", "words"),
    [(0, 10, "must be one or more"), (3, 0, "bins=0; it must be from 1")],
)
def test_calibration_of_nothing_is_refused(images, bins, words):
    with pytest.raises(ValueError, match=words):
        diagnostics.calibration(torch.zeros(images, 2), torch.zeros(images).long(), bins)


@pytest.mark.parametrize("value", [math.nan, 4.0])
def test_what_are_no_log_probabilities_are_refused(value):
    """They would have a calibration error all the same, and of nan even the best one."""
    scores = torch.full((4, 3), value)
    with pytest.raises(ValueError, match=f"up to {value:g}; they must be 0 or less.*log_softmax"):
        diagnostics.calibration(scores, LABELS)


@pytest.mark.parametrize("value", [math.nan, 4.0])
def test_luck_is_not_asked_of_what_are_no_log_probabilities(value):
    with pytest.raises(ValueError, match="they must be 0 or less.*log_softmax"):
        diagnostics.lucky_errors(torch.full((4, 3), value))


def test_luck_gives_the_error_of_a_network_that_means_what_it_says():
    """All guesses 0.8 sure: by luck a share p of n is right, with a mean distance from 0.8 of
    sqrt(2 p (1 - p) / (pi n)). 400 draws have it within a tenth, twice a standard error."""
    torch.manual_seed(0)
    errors = diagnostics.lucky_errors(two_classes([0.8] * 1000), bins=10, draws=400)
    assert errors.shape == (400,)
    assert errors.mean().item() == pytest.approx(math.sqrt(2 * 0.16 / (math.pi * 1000)), rel=0.1)


@pytest.mark.parametrize("temperature", [0.5, 1.0, 1.7, 4.0])
def test_the_best_temperature_is_the_one_that_scores_were_multiplied_by(temperature):
    """50,000 labels drawn from the probabilities, which are then sharpened or flattened."""
    torch.manual_seed(0)
    scores = 2 * torch.randn(50_000, 4)
    labels = torch.multinomial(scores.softmax(dim=1), 1).flatten()
    changed = (scores * temperature).log_softmax(dim=1)
    assert diagnostics.best_temperature(changed, labels) == pytest.approx(temperature, rel=0.03)


# ------------------------------------------------------------------- the known and the unknown


def test_auroc_by_hand():
    """Six pairs: five in the right order, one equal."""
    known, unknown = torch.tensor([0.9, 0.8, 0.5]), torch.tensor([0.5, 0.1])
    assert diagnostics.auroc(known, unknown) == pytest.approx(5.5 / 6)
    assert diagnostics.auroc(unknown, known) == pytest.approx(0.5 / 6)
    assert diagnostics.auroc(known, known) == 0.5


@pytest.mark.parametrize("empty", ["known", "unknown"])
def test_auroc_of_nothing_is_refused(empty):
    values = {"known": torch.ones(2), "unknown": torch.ones(2), empty: torch.ones(0)}
    with pytest.raises(ValueError, match=f"{empty} is empty"):
        diagnostics.auroc(**values)


@pytest.mark.parametrize("broken", ["known", "unknown"])
def test_numbers_that_are_none_are_not_told_apart(broken):
    """A network that gives them would be called perfect."""
    values = {"known": torch.tensor([0.9, 0.8]), "unknown": torch.tensor([0.5, 0.1])}
    values[broken][0] = torch.nan
    with pytest.raises(ValueError, match=f"{broken} holds numbers that aren't finite"):
        diagnostics.auroc(**values)


# --------------------------------------------------------------------- class activation maps


def test_the_mean_of_a_map_is_the_score_of_its_class():
    torch.manual_seed(0)
    network, images = model.create("skipnet").eval(), torch.randn(2, 3, 20, 24)
    scores = []
    network.trans[1].register_forward_hook(lambda *call: scores.append(call[2].flatten(1)))
    maps = diagnostics.class_activation_maps(network, images)
    assert maps.shape == (2, 10, 20, 24)
    torch.testing.assert_close(maps.mean(dim=(2, 3)), scores[0], rtol=1e-4, atol=1e-5)


def test_a_map_lights_up_where_its_class_is():
    """One feature, the red of a pixel; class 1 is red."""
    head = nn.Conv2d(3, 2, 1)
    with torch.no_grad():
        head.weight.copy_(torch.tensor([[0.0, 1, 0], [1, 0, 0]])[:, :, None, None])
        head.bias.zero_()
    network = nn.Sequential(nn.AdaptiveAvgPool2d(1), head, nn.Flatten())
    image = torch.zeros(1, 3, 4, 4)
    image[0, 0, 1, 2] = 1
    assert diagnostics.class_activation_maps(network, image)[0, 1].nonzero().tolist() == [[1, 2]]


@pytest.mark.parametrize(
    ("network", "pools", "convolutions"),
    [
        (nn.Sequential(nn.Conv2d(3, 10, 1)), 0, 0),
        (nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(3, 10)), 1, 0),
        (nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Conv2d(3, 9, 1), nn.Conv2d(9, 10, 1)), 1, 2),
        (nn.Sequential(nn.AdaptiveAvgPool2d(3), nn.Conv2d(3, 10, 3)), 1, 1),
        (nn.Sequential(nn.AdaptiveAvgPool2d(2), nn.Conv2d(3, 10, 1), nn.MaxPool2d(2)), 1, 1),
    ],
)
def test_a_network_without_such_an_end_is_refused(network, pools, convolutions):
    with pytest.raises(ValueError, match=rf"has {pools} .* {convolutions} convolutions"):
        diagnostics.class_activation_maps(network, torch.zeros(1, 3, 4, 4))


@pytest.mark.parametrize(
    "end",
    [
        lambda: [nn.AdaptiveAvgPool2d(1), nn.ReLU(), nn.Conv2d(16, 10, 1), nn.Flatten()],
        lambda: [nn.AdaptiveAvgPool2d(1), nn.Conv2d(16, 10, 1), nn.Flatten(), nn.ReLU()],
        lambda: [nn.AdaptiveAvgPool2d(1), nn.Conv2d(16, 32, 1), nn.Flatten(), nn.Linear(32, 10)],
    ],
)
def test_a_network_that_does_more_at_its_end_is_refused(end):
    """The mean of a map would not be the score of its class, as the maps promise."""
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(3, 16, 3, padding=1), *end())
    with pytest.raises(ValueError, match="does more between its pooling and its scores"):
        diagnostics.class_activation_maps(network, 10 * torch.randn(2, 3, 8, 8))
