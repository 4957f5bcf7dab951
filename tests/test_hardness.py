"""Easy pictures are left out while they stay easy, and no others."""

import dataclasses
import itertools

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from cifarlab import data, engine, hardness, model, recipes
from tests.helpers import FP32


def test_before_any_loss_is_known_the_whole_split_is_met_in_its_own_order():
    assert hardness.Losses(7).hardest(7).tolist() == list(range(7))


def test_the_hardest_are_those_of_largest_loss_in_rising_order():
    losses = hardness.Losses(5)
    losses.last[:] = torch.tensor([0.3, 2.0, 0.1, 0.9, 2.0])
    assert losses.hardest(3).tolist() == [1, 3, 4]


@pytest.mark.parametrize(
    ("share", "epochs", "sizes"),
    [
        (0.0, 3, [10, 10, 10]),
        (0.5, 4, [10, 5, 5, 10]),
        (0.75, 3, [10, 3, 10]),  # what is left out is rounded down
        (0.5, 2, [10, 10]),
        (0.5, 1, [10]),
    ],
)
def test_the_first_epoch_and_the_last_meet_all_images(share, epochs, sizes):
    recipe = recipes.get("fast", easy_left_out=share, epochs=epochs)
    assert hardness.epoch_sizes(recipe, 10) == sizes


@pytest.fixture
def half_easy():
    """Half of the images say their class by their colour; the others are grey, whatever it is."""
    labels = np.arange(200) % 2
    images = np.full((200, 32, 32, 3), 128, np.uint8)
    easy = np.arange(200) % 4 < 2  # as many of each label as of the others
    images[easy] = np.where(labels[easy, None, None, None] == 1, 255, 0)
    return data.Split(images, labels, ("dark", "light"), "grey squares")


def test_what_a_network_knows_is_left_out_between_the_first_epoch_and_the_last(
    half_easy, tiny, monkeypatch
):
    recipe = dataclasses.replace(tiny, epochs=8, augmentation="none", easy_left_out=0.5)
    met = []
    batches = data.batches

    def watched(images, transform, batch_size, shuffle=False, **options):
        if shuffle:
            met.append(images)
        return batches(images, transform, batch_size, shuffle=shuffle, **options)

    monkeypatch.setattr(data, "batches", watched)
    torch.manual_seed(0)
    list(engine.fit(model.create(recipe.network), recipe, half_easy, half_easy, numerics=FP32))
    assert [len(images) for images in met] == [200, *[100] * 6, 200]
    hard = [float((images.images == 128).all(axis=(1, 2, 3)).mean()) for images in met]
    assert hard[0] == hard[-1] == 0.5
    assert hard[1] < hard[3] < hard[6] and hard[6] > 0.75, f"shares of hard pictures: {hard}"


def linear():
    """Neither batch norm nor dropout, so that what each image costs can be redone."""
    return nn.Sequential(nn.AvgPool2d(8), nn.Flatten(), nn.Linear(48, 10))


def test_each_loss_is_noted_for_its_own_image(shapes, tiny, monkeypatch):
    """Batches come shuffled, and of a part of the split."""
    begin, runs = engine.Run.begin, []
    monkeypatch.setattr(engine.Run, "begin", lambda *given: runs.append(begin(*given)) or runs[0])
    monkeypatch.setitem(model.NETWORKS, "linear", linear)
    still = {"network": "linear", "augmentation": "none", "peak_learning_rate": 0.0}
    recipe = dataclasses.replace(tiny, epochs=3, easy_left_out=0.5, **still)
    train, test = shapes
    fit = engine.fit(model.create("linear"), recipe, train, test, numerics=FP32)
    list(itertools.islice(fit, 2))  # the last epoch meets them all
    outputs, labels = engine.predict(runs[0].network, data.batches(train), FP32)
    losses = F.cross_entropy(outputs, labels, reduction="none")
    torch.testing.assert_close(runs[0].losses.last, losses)


def test_a_mixed_picture_has_no_loss_of_its_own():
    with pytest.raises(ValueError, match="easy_left_out=0.5 and mixing='mixup'"):
        recipes.get("fast", easy_left_out=0.5, mixing="mixup")
