"""A recipe is complete, cannot change, and refuses what could only fail later."""

import dataclasses
import json
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from cifarlab import data, model, recipes
from cifarlab.recipes import Recipe

GOOD = {
    "name": "test",
    "network": "skipnet",
    "epochs": 3,
    "batch_size": 16,
    "peak_learning_rate": 0.1,
}


def test_the_baseline_is_the_run_of_2023():
    """Batch 128, one cycle to 0.5 over 30 epochs, momentum, no decay, its pipeline, its mistakes.

    Of all other settings it took what PyTorch's OneCycleLR gives.
    """
    baseline = recipes.get("baseline")
    assert dataclasses.asdict(baseline) == {
        "name": "baseline",
        "network": "skipnet",
        "network_options": {},
        "epochs": 30,
        "batch_size": 128,
        "peak_learning_rate": 0.5,
        "momentum": 0.9,
        "nesterov": False,
        "weight_decay": 0.0,
        "norm_bias_factor": 1.0,
        "muon_peak_learning_rate": 0.0,
        "muon_momentum": 0.6,
        "warmup_share": 0.3,
        "start_divisor": 25.0,
        "end_divisor": 1e4,
        "anneal": "cos",
        "cycle_momentum": True,
        "label_smoothing": 0.0,
        "ema_decay": None,
        "remeasure_norms": False,
        "augmentation": "original",
        "mixing": "none",
        "teacher": None,
        "easy_left_out": 0.0,
        "images": None,
        "mean": (0.4914, 0.4822, 0.4465),
        "std": (0.2023, 0.1994, 0.2010),
        "test_every_epoch": True,
    }


@pytest.mark.parametrize("name", recipes.names())
def test_every_recipe_is_called_by_its_name_and_names_what_exists(name):
    recipe = recipes.get(name)
    assert recipe.name == name
    assert recipe.network in model.names()
    assert recipe.augmentation in data.AUGMENTATIONS


def test_only_the_baseline_looks_at_the_test_images_every_epoch():
    looking = [name for name in recipes.names() if recipes.get(name).test_every_epoch]
    assert looking == ["baseline"]


def test_a_recipe_cannot_change():
    """It is saved with the result; changed half-way, it would speak of another run."""
    with pytest.raises(dataclasses.FrozenInstanceError):
        recipes.get("baseline").epochs = 1
    assert hash(recipes.get("baseline")) == hash(recipes.get("baseline"))


def test_changes_make_a_new_recipe_and_leave_the_old():
    changed = recipes.get("baseline", epochs=2, batch_size=64)
    assert (changed.epochs, changed.batch_size, changed.peak_learning_rate) == (2, 64, 0.5)
    assert recipes.get("baseline").epochs == 30


def test_an_unknown_name_is_answered_with_the_known_ones():
    with pytest.raises(ValueError, match=r"'slow'.*baseline"):
        recipes.get("slow")


def test_an_unknown_field_is_answered_with_the_known_ones():
    with pytest.raises(ValueError, match=r"no learning_rate; its fields are: .*peak_learning_rate"):
        recipes.get("baseline", learning_rate=0.1)


@pytest.mark.parametrize(
    ("name", "bad", "remedy"),
    [
        ("network", "resnet", "skipnet"),
        ("augmentation", "mixup", "cutout"),
        ("anneal", "cosine", "cos"),
        ("network_options", {"depth": 3}, {"dropout": 0.1}),
        ("network_options", {"dropout": math}, {"dropout": 0.1}),
        ("network_options", [], {}),
        ("epochs", 0, 1),
        ("epochs", 1.5, 2),
        ("epochs", "3", 3),
        ("batch_size", 0, 1),
        ("batch_size", 16.0, 16),
        ("peak_learning_rate", -0.1, 0),
        ("peak_learning_rate", math.inf, 0.5),
        ("momentum", 1.1, 1),
        ("weight_decay", -1e-4, 0),
        ("norm_bias_factor", -1, 0),
        ("muon_peak_learning_rate", None, 0),
        ("muon_momentum", 1.1, 1),
        ("warmup_share", 1.1, 1),
        ("start_divisor", 0, 1),
        ("end_divisor", 0, 1),
        ("label_smoothing", -0.1, 0),
        ("label_smoothing", 1.1, 1),
        ("easy_left_out", 1.0, 0.99),
        ("remeasure_norms", 1, True),
        ("ema_decay", 0.0, None),
        ("ema_decay", 1.0, 0.99),
        ("teacher", 3, None),
        ("teacher", "", "fast-seed0"),
        ("images", 0, None),
        ("images", 1.5, 10),
        ("mean", (0.5, 0.5), (0.5, 0.5, 0.5)),
        ("std", (0.5, 0.5), (0.5, 0.5, 0.5)),
        ("std", (0.5, 0.0, 0.5), (0.5, 0.1, 0.5)),
        ("std", 0.5, (0.5, 0.5, 0.5)),
    ],
)
def test_a_bad_value_is_refused_by_its_name_and_the_remedy_is_taken(name, bad, remedy):
    with pytest.raises(ValueError, match=f"{name}="):
        Recipe(**{**GOOD, name: bad})
    Recipe(**{**GOOD, name: remedy})


NUMBERS = [
    "epochs",
    "batch_size",
    "peak_learning_rate",
    "momentum",
    "weight_decay",
    "norm_bias_factor",
    "muon_peak_learning_rate",
    "muon_momentum",
    "warmup_share",
    "start_divisor",
    "end_divisor",
    "label_smoothing",
    "easy_left_out",
    "ema_decay",
    "images",
]


@pytest.mark.parametrize("name", NUMBERS)
@given(value=st.one_of(st.floats(max_value=-1e-300), st.just(math.nan), st.text(max_size=3)))
@settings(max_examples=20, deadline=None)
def test_no_number_may_be_negative_not_a_number_or_a_word(name, value):
    with pytest.raises(ValueError, match=f"{name}="):
        Recipe(**{**GOOD, name: value})


@pytest.mark.parametrize("kind", [list, np.array, np.float32, torch.tensor])
def test_a_row_of_three_numbers_is_taken_from_whoever_made_it_and_survives_json(kind):
    row = [kind(value) for value in (0.5, 0.25, 1)] if kind is np.float32 else kind([0.5, 0.25, 1])
    recipe = Recipe(**{**GOOD, "mean": row, "std": row})
    assert recipe.mean == recipe.std == (0.5, 0.25, 1.0)
    assert json.loads(json.dumps(dataclasses.asdict(recipe)))["mean"] == [0.5, 0.25, 1.0]


def test_numbers_of_numpy_are_taken_as_everywhere_and_survive_json():
    recipe = Recipe(**{**GOOD, "epochs": np.int64(2), "peak_learning_rate": np.float32(0.5)})
    assert recipe == Recipe(**{**GOOD, "epochs": 2, "peak_learning_rate": 0.5})
    assert Recipe(**json.loads(json.dumps(dataclasses.asdict(recipe)))) == recipe


def test_nesterov_without_momentum_is_refused():
    """torch would refuse it too, only after the data are loaded."""
    with pytest.raises(ValueError, match="nesterov.*momentum"):
        Recipe(**GOOD, nesterov=True, momentum=0)


def test_a_teacher_takes_the_place_of_smoothed_labels():
    with pytest.raises(ValueError, match=r"label_smoothing=0\.1 and teacher='x'.*=0\.$"):
        Recipe(**GOOD, teacher="x", label_smoothing=0.1)
    assert Recipe(**GOOD, teacher="x", label_smoothing=0).teacher == "x"


@given(
    changes=st.fixed_dictionaries(
        {},
        optional={
            "epochs": st.integers(1, 1000),
            "batch_size": st.integers(1, 1000),
            "momentum": st.floats(0, 1),
            "label_smoothing": st.floats(0, 1),
            "ema_decay": st.none() | st.floats(0.1, 0.9),
            "images": st.none() | st.integers(1, 1000),
            "warmup_share": st.floats(0, 1),
            "std": st.tuples(*[st.floats(0.01, 1)] * 3),
            "network_options": st.fixed_dictionaries({"dropout": st.floats(0, 1) | st.tuples()}),
        },
    )
)
@settings(max_examples=30, deadline=None)
def test_a_recipe_survives_being_json(changes):
    """A record keeps it so; tuples come back as lists, and must be tuples again."""
    recipe = Recipe(**{**GOOD, **changes})
    assert Recipe(**json.loads(json.dumps(dataclasses.asdict(recipe)))) == recipe
