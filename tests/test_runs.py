"""`runs.train` goes from a recipe to a record, and refuses what it can't do before it trains."""

import dataclasses
import hashlib

import numpy as np
import pytest
import torch

from cifarlab import data, records, runs
from tests.helpers import FP32


def train(recipe, shapes, out, **options):
    return runs.train(recipe, out, *shapes, numerics=FP32, **options)


@pytest.mark.slow
def test_a_run_leaves_a_record_that_tells_what_it_yielded(tiny, shapes, tmp_path):
    epochs = list(train(tiny, shapes, tmp_path / "run", seed=3))
    record = records.load(tmp_path / "run")
    assert record.history == epochs and record.recipe == tiny and record.seed == 3
    assert record.finished and record.test_accuracy == epochs[-1].held_out.accuracy
    assert [epoch.held_out is None for epoch in epochs] == [True, True, False]


@pytest.mark.slow
def test_the_weights_of_a_run_are_those_that_were_scored(tiny, shapes, tmp_path):
    *_, last = train(dataclasses.replace(tiny, ema_decay=0.9), shapes, tmp_path)
    network = records.load_network(tmp_path)
    plain = data.pipeline(mean=tiny.mean, std=tiny.std)
    predicted = network(next(iter(data.batches(shapes[1], plain, 50)))[0]).argmax(dim=1)
    right = 100 * (predicted == torch.as_tensor(shapes[1].labels)).float().mean().item()
    assert right == pytest.approx(last.held_out.accuracy)


@pytest.mark.slow
def test_the_record_and_the_weights_are_there_when_the_last_epoch_is_told(tiny, shapes, tmp_path):
    """Who stops after as many epochs as the recipe has loses nothing."""
    epochs = train(tiny, shapes, tmp_path)
    for number in (1, 2, 3):
        next(epochs)
        assert len(records.load(tmp_path).history) == number
    assert records.load_network(tmp_path)


@pytest.mark.slow
def test_a_choice_by_validation_images_scores_every_epoch(tiny, shapes, tmp_path):
    epochs = list(train(tiny, shapes, tmp_path, scored_on="validation"))
    record = records.load(tmp_path)
    assert all(epoch.held_out for epoch in epochs)
    assert record.test_accuracy is None
    assert record.validation_accuracy == epochs[-1].held_out.accuracy


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"seed": -1}, "seed=-1"),
        ({"scored_on": "training"}, "scored_on='training'"),
        ({"resume": True}, "no run to resume"),
        ({"workers": 10**6}, "workers"),
    ],
)
def test_what_cannot_be_is_refused_when_it_is_called(tiny, shapes, tmp_path, changes, message):
    with pytest.raises((TypeError, ValueError), match=message):
        train(tiny, shapes, tmp_path / "run", **changes)


def test_a_run_is_not_trained_over(tiny, shapes, tmp_path):
    next(train(tiny, shapes, tmp_path))
    with pytest.raises(ValueError, match="holds a run"):
        train(tiny, shapes, tmp_path)
    (tmp_path / "checkpoint.pt").unlink()
    for resume in (False, True):
        with pytest.raises(ValueError, match="no checkpoint to go on from; name another --out"):
            train(tiny, shapes, tmp_path, resume=resume)


@pytest.mark.slow
def test_a_resumed_run_tells_of_its_sessions(tiny, shapes, tmp_path):
    next(train(tiny, shapes, tmp_path))
    list(train(tiny, shapes, tmp_path, resume=True))
    assert [session.epochs for session in records.load(tmp_path).sessions] == [1, 3]


# ------------------------------------------------------------------------------------ a teacher


@pytest.fixture
def teacher(tiny, shapes, tmp_path):
    """The folder of a finished run, scored on validation images."""
    list(train(tiny, shapes, tmp_path / "teacher", scored_on="validation"))
    return tmp_path / "teacher"


@pytest.mark.slow
@pytest.mark.parametrize("scored_on", ["test", "validation"])
def test_a_record_says_which_teacher_the_run_had(tiny, shapes, teacher, tmp_path, scored_on):
    """By the number that `sha256sum` tells of its weights; and it's from those that it learned."""
    taught = dataclasses.replace(tiny, teacher=str(teacher))
    epochs = list(train(taught, shapes, tmp_path / "run", scored_on=scored_on))
    record = records.load(tmp_path / "run")
    digest = hashlib.sha256((teacher / "record.safetensors").read_bytes()).hexdigest()
    assert (record.recipe.teacher, record.teacher_weights) == (str(teacher), digest)
    alone = list(train(tiny, shapes, tmp_path / "alone", scored_on=scored_on))
    assert records.load(tmp_path / "alone").teacher_weights is None
    assert epochs[0].train.loss != alone[0].train.loss


@pytest.mark.slow
def test_a_run_does_not_go_on_with_another_teacher_of_the_same_name(
    tiny, shapes, teacher, tmp_path
):
    taught = dataclasses.replace(tiny, teacher=str(teacher))
    next(train(taught, shapes, tmp_path / "run"))
    list(train(tiny, shapes, tmp_path / "other", seed=1))
    (tmp_path / "other" / "record.safetensors").replace(teacher / "record.safetensors")
    with pytest.raises(ValueError, match="what differs: the teacher's weights"):
        train(taught, shapes, tmp_path / "run", resume=True)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("no record", "no record .*; give the path of one"),
        ("no weights", r"record.safetensors does not hold the weights of tiny-seed0"),
        (
            "normalised otherwise",
            r"normalised with std=\(0.2, 0.2, 0.2\), and this run has std=\(0.24",
        ),
        ("other images", "has learned from CIFAR-10: .*; this run has synthetic shapes"),
        ("seen before", "the images that this run is scored on; .*--validation"),
    ],
)
def test_a_teacher_that_cannot_teach_is_refused_before_anything_is_written(
    tiny, shapes, teacher, tmp_path, change, message
):
    record, named = records.load(teacher), teacher
    if change == "no record":
        named = tmp_path / "nothing"
    elif change == "no weights":
        (teacher / "record.safetensors").unlink()
    elif change == "normalised otherwise":
        record = dataclasses.replace(record, recipe=dataclasses.replace(tiny, std=(0.2, 0.2, 0.2)))
    elif change == "other images":
        record = dataclasses.replace(record, data="CIFAR-10: 45000 images, scored on 5000")
    else:
        record = dataclasses.replace(record, scored_on="test")
    records.save(record, teacher / "record.json")
    taught = dataclasses.replace(tiny, teacher=str(named))
    with pytest.raises(ValueError, match=f"^teacher='.*{message}"):
        train(taught, shapes, tmp_path / "run", scored_on="validation")
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_the_images_of_a_record_are_those_that_it_was_scored_on(tiny, tmp_path, monkeypatch):
    monkeypatch.setattr(data, "load", lambda: pytest.fail("these are the real ones"))
    splits = runs.splits(synthetic=True, validation=True)
    assert tuple(map(len, splits)) == (1800, 200)
    next(train(tiny, splits, tmp_path, scored_on="validation"))
    record = records.load(tmp_path)
    np.testing.assert_array_equal(runs.held_out_of(record).images, splits[1].images)


@pytest.mark.parametrize(
    "images",
    ["grey squares: 1800 images, scored on 200", f"{data.SYNTHETIC}: 1800 images, scored on 150"],
)
def test_a_record_of_other_images_is_not_scored_on_those_of_the_course(
    tiny, shapes, tmp_path, monkeypatch, images
):
    real = runs.splits(synthetic=True)
    monkeypatch.setattr(data, "load", lambda: real)
    next(train(tiny, shapes, tmp_path))
    record = dataclasses.replace(records.load(tmp_path), data=images)
    with pytest.raises(ValueError, match=f"scored on other images .*{images}"):
        runs.held_out_of(record)


def test_a_recipe_may_learn_from_a_few_images_equally_many_of_each_class(tiny, shapes):
    train, _ = shapes
    few = runs.learned_from(dataclasses.replace(tiny, images=20), train)
    assert np.bincount(few.labels).tolist() == [2] * 10
    again = runs.learned_from(dataclasses.replace(tiny, images=20), train)
    np.testing.assert_array_equal(few.images, again.images)
    assert runs.learned_from(tiny, train) is train


@pytest.mark.parametrize("images", [15, 5, 10**6])
def test_images_that_cannot_be_had_are_refused_before_anything_is_written(
    tiny, shapes, tmp_path, images
):
    with pytest.raises(ValueError, match=f"images={images}; it must be a multiple of 10"):
        train(dataclasses.replace(tiny, images=images), shapes, tmp_path / "run")
    assert not (tmp_path / "run").exists()
