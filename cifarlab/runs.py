"""The main flow: images, network, training, record, in this order.

Lesson: Train under 200,000 parameters.
"""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import torch
from torch import nn

from cifarlab import _arguments as arguments
from cifarlab import data, engine, records
from cifarlab.numerics import Numerics, fastest
from cifarlab.recipes import Recipe
from cifarlab.schema import Epoch, Record


def splits(*, synthetic: bool = False, validation: bool = False) -> tuple[data.Split, data.Split]:
    """Images to learn from, and images to score on.

    They are CIFAR-10's training and test images; with `validation`, nine tenths of the training
    images and the other tenth; with `synthetic`, shapes that stand in for both.

    Raises: OSError if CIFAR-10 is neither here nor can be fetched.
    """
    if synthetic:
        train, test = data.synthetic(2000, seed=0), data.synthetic(500, seed=1)
    else:
        train, test = data.load()
    if validation:
        return data.split_validation(train, per_class=len(train) // 100)
    return train, test


def held_out_of(record: Record) -> data.Split:
    """The images that a record's network was scored on.

    Raises: ValueError if they are none of `splits`; OSError as `splits` does.
    """
    _, held_out = splits(
        synthetic=record.data.startswith(data.SYNTHETIC),
        validation=record.scored_on == "validation",
    )
    scored_on = f"scored on {len(held_out)}"
    if not (record.data.startswith(f"{held_out.source}: ") and record.data.endswith(scored_on)):
        raise ValueError(
            f"{record.name} was scored on other images ({record.data}) than those known here "
            f"({held_out.source}, {scored_on}); give yours to `engine.evaluate`."
        )
    return held_out


def learned_from(recipe: Recipe, train: data.Split) -> data.Split:
    """Those images of `train` that `recipe` learns from: all, or as few as it says.

    Always the same few, and equally many of each class.

    Raises: ValueError if it asks for more than there are, or can't have as many of each class.
    """
    if recipe.images is None:
        return train
    per_class, left_over = divmod(recipe.images, len(train.classes))
    if left_over or recipe.images >= len(train):
        raise ValueError(
            f"images={recipe.images}; it must be a multiple of {len(train.classes)}, the number "
            f"of classes, and below {len(train)}, or None for all."
        )
    _, few = data.split_validation(train, per_class)  # what it sets aside is what we want
    return few


def teacher_of(recipe: Recipe, train: data.Split, scored_on: str) -> nn.Module | None:
    """The network that `recipe` names as its teacher, in eval mode, if it names one.

    It has learned from the same kind of images, as the recipe normalises them. Where the run is
    scored on "validation" images, so was the teacher: it must not have seen them, for it would
    tell its student what it knows by heart.

    Raises: ValueError if there is no such record, or it has no weights, or can't teach this run.
    """
    if recipe.teacher is None:
        return None
    named = f"teacher={arguments.shown(recipe.teacher)}"
    try:
        record, network = records.load(recipe.teacher), records.load_network(recipe.teacher)
    except ValueError as error:
        raise ValueError(f"{named}: {error}") from error
    if not record.data.startswith(f"{train.source}: "):
        raise ValueError(f"{named} has learned from {record.data}; this run has {train.source}.")
    for name in ("mean", "std"):
        theirs, ours = getattr(record.recipe, name), getattr(recipe, name)
        if theirs != ours:
            raise ValueError(
                f"{named} has learned from images normalised with {name}={theirs}, and this run "
                f"has {name}={ours}; both must see the same. Give the run the teacher's."
            )
    if scored_on == "validation" and record.scored_on != "validation":
        raise ValueError(
            f"{named} has learned from the images that this run is scored on; name one that was "
            "trained with --validation."
        )
    return network


def check_folder(out: Path | str, resume: bool) -> None:
    """Nothing, if a run can begin in the folder `out`, or go on there with `resume`.

    Raises: ValueError that says what to do instead.
    """
    if Path(out, "checkpoint.pt").exists():
        if not resume:
            raise ValueError(f"{out} holds a run; --resume goes on with it, or name another --out.")
    elif Path(out, "record.json").exists():
        raise ValueError(
            f"{out} holds the record of a run, and no checkpoint to go on from; name another --out."
        )
    elif resume:
        raise ValueError(f"{out} holds no run to resume; begin one without --resume.")


def train(
    recipe: Recipe,
    out: Path | str,
    train: data.Split,
    held_out: data.Split,
    *,
    seed: int = 0,
    scored_on: str = "test",
    resume: bool = False,
    workers: int = 0,
    numerics: Numerics | None = None,
) -> Iterator[Epoch]:
    """Train the network of `recipe` on `train`, into the folder `out`; yield what each epoch did.

    With every epoch `out` gets `record.json` and `checkpoint.pt`, from which `resume` goes on;
    after the last, the weights as `record.safetensors`. `scored_on` says what `held_out` holds:
    "test" images, met once at the end (or as the recipe says), or "validation" images, to choose
    by, met after every epoch.

    Raises: TypeError or ValueError if an argument is out of its range, or `out` holds a run and
    `resume` is false, or the other way round; OSError if a file can't be written. And what
    `engine.fit` raises.
    """
    arguments.instance("recipe", recipe, Recipe)
    arguments.whole("seed", seed, 0, engine.LARGEST_SEED)
    arguments.one_of("scored_on", scored_on, ["test", "validation"])
    train = learned_from(recipe, train)
    teacher = teacher_of(recipe, train, scored_on)
    folder = Path(out)
    checkpoint, record_path = folder / "checkpoint.pt", folder / "record.json"
    check_folder(folder, resume)
    torch.manual_seed(seed)
    try:
        network = recipe.create_network()
    except TypeError as error:
        raise ValueError(f"network_options of {recipe.network!r}: {error}") from error
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ValueError(f"{out} can't be made ({error}); name another --out.") from error
    numerics = numerics or fastest()
    record = records.begin(
        recipe, seed, network, train, held_out, numerics, scored_on=scored_on, teacher=teacher
    )
    before = records.load(record_path) if resume and record_path.exists() else None
    if before:
        record = replace(record, earlier_sessions=before.sessions)
    epochs = engine.fit(
        network,
        recipe,
        train,
        held_out,
        seed=seed,
        every_epoch=recipe.test_every_epoch or scored_on == "validation",
        checkpoint=checkpoint,
        resume=resume,
        workers=workers,
        numerics=numerics,
        teacher=teacher,
    )

    def recorded(record: Record) -> Iterator[Epoch]:
        for epoch in epochs:
            record = records.extend(record, epoch)
            if not before or record.history != before.history[: epoch.number]:
                records.save(record, record_path)  # else the file says so already, and more
            if record.finished:
                records.save_weights(network, folder / "record.safetensors")
            yield epoch

    return recorded(record)
