"""Run an experiment: the same training, but for one thing, with several seeds.

    course experiment convolutions              run what is missing, then sum up
    course experiment convolutions --print      only show the commands that are missing
    course experiment convolutions --collect    only sum up what there is

A command is one run and needs no other, so that `xargs`, a Slurm array or a CI matrix can spread
them over machines: put the folders that come back under `runs/experiments/`, and collect. Where a
Dask scheduler runs, `--scheduler` hands them to its workers (`artefacts/spread.py`). The summary,
`cifarlab/records/shipped/experiments/NAME.json`, ships with the package, for the lessons read it.
What it holds counts as run: to run it anew, move the summary away.
"""

import json
import re
import shlex
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import numpy as np
import scipy.stats
from torch import nn

from cifarlab import data, engine, model, receptive_field, recipes, records, runs
from cifarlab._files import replacing
from cifarlab.cli import describe
from cifarlab_course.artefacts.arms import EXPERIMENTS, Arm, Experiment
from cifarlab_course.artefacts.run import HERE, Run, Setting, images

RUNS = Path("runs") / "experiments"


def missing(experiment: Experiment, folder: Path, summed: dict, setting: Setting) -> Iterator[Run]:
    """The runs that are neither finished in `folder` nor in `summed`.

    Raises: ValueError if one that is was a trial on shapes, and these are no trial; or the other
    way round.
    """
    for arm in experiment.arms:
        by_seed = known_runs(arm, summed)
        for seed in arm.seeds:
            out = arm.folder(folder, seed)
            if seed in by_seed:
                learned_from = by_seed[seed]["data"]
            elif finished(out):
                learned_from = records.load(out).data
            else:
                yield Run(arm, seed, out, experiment.scored_on, setting)
                continue
            if learned_from.startswith(data.SYNTHETIC) != (setting.data == "synthetic"):
                raise ValueError(
                    f"{out.name} was made with {learned_from}, not with --data {setting.data}. "
                    "Move the summary that holds it, or its folder, away."
                )


def finished(out: Path) -> bool:
    """Does a folder hold a whole run, weights included?"""
    return (out / "record.safetensors").exists() and records.load(out).finished


def known_runs(arm: Arm, summed: dict) -> dict[int, dict]:
    """What the summary `summed` holds of an arm as it now is, by seed."""
    recipe = arm.changed_recipe()
    return {
        run["seed"]: run
        for entry in summed["arms"]
        if entry["name"] == arm.name and recipes.Recipe(**entry["recipe"]) == recipe
        for run in entry["runs"]
    }


def summary(experiment: Experiment, folder: Path, summed: dict) -> dict:
    """All that the lessons read: what `summed` holds, and the runs in `folder`, arm by arm.

    Raises: ValueError if no run is finished, one was not made as its arm says, or not all learned
    from the same images.
    """
    arms = [
        summed_up(arm, folder, known_runs(arm, summed), experiment.scored_on)
        for arm in experiment.arms
    ]
    if not any(arms):
        first = experiment.arms[0]
        raise ValueError(f"no run is finished; the first would be {first.folder(folder, 0)}.")
    # But for how many: that an arm's recipe says.
    learned_from = {
        re.sub(r": \d+ images", "", run["data"]) for arm in arms if arm for run in arm["runs"]
    }
    if len(learned_from) > 1:
        raise ValueError(
            f"runs of different images can't be summed up together: {'; '.join(learned_from)}. "
            "Move those away that were made with --data synthetic."
        )
    return {
        "question": experiment.question,
        "scored_on": experiment.scored_on,
        "arms": [arm for arm in arms if arm],
    }


def summed_up(arm: Arm, folder: Path, by_seed: dict[int, dict], scored_on: str) -> dict | None:
    """The runs of one arm, and what they say together; None if there is none."""
    for seed in arm.seeds:
        if seed not in by_seed and finished(arm.folder(folder, seed)):
            by_seed[seed] = one_run(arm, arm.folder(folder, seed), scored_on)
    if not by_seed:
        return None
    recipe = arm.changed_recipe()
    if len({run.get("teacher_weights") for run in by_seed.values()}) > 1:
        raise ValueError(
            f"the runs of {arm.name!r} had different teachers of one name; move those of the "
            "former one, or the summary that holds them, away."
        )
    network = recipe.create_network()
    finished_runs = [by_seed[seed] for seed in sorted(by_seed)]
    accuracies = [run[f"{scored_on}_accuracy"] for run in finished_runs]
    return {
        "name": arm.name,
        "recipe": asdict(recipe),
        "parameters": model.count_parameters(network),
        "multiply_adds": model.count_multiply_adds(network),
        **view(network),
        "mean": float(np.mean(accuracies)),
        "interval": interval(accuracies),
        "next_run": interval(accuracies, of_next=True),
        "runs": finished_runs,
    }


def one_run(arm: Arm, folder: Path, scored_on: str) -> dict:
    """What a summary keeps of a run."""
    record = records.load(folder)
    if record.recipe != arm.changed_recipe() or record.scored_on != scored_on:
        raise ValueError(f"{folder} was made another way; move it away, and run it again.")
    facts = asdict(record)
    for same_in_all in ("recipe", "parameters", "multiply_adds", "scored_on"):
        del facts[same_in_all]
    return {**facts, "train_accuracy": whole_training_set(record, folder)}


def view(network: nn.Module) -> dict:
    """How far a unit in the middle of the last map sees, in pixels, and how much of it, 0 to 1."""
    last = receptive_field.analyze(network, (32, 32)).last_map
    assert last, "all networks here end with a map"
    return {"receptive_field": last.size[0], "coverage": last.coverage(*last.centre)}


def whole_training_set(record: records.Record, run: Path) -> float:
    """Accuracy on all images that a run learned from, as they are, not augmented."""
    train, _ = images(record.data.startswith(data.SYNTHETIC), record.scored_on)
    train = runs.learned_from(record.recipe, train)
    plain = data.pipeline(mean=record.recipe.mean, std=record.recipe.std)
    return engine.evaluate(records.load_network(run), data.batches(train, plain, 1000)).accuracy


def interval(values: list[float], *, of_next: bool = False) -> list[float] | None:
    """Ends of the 95 % interval of the mean, or of the next value; None of a single value.

    Student's t, for values that vary normally about their mean.
    """
    if len(values) < 2:
        return None
    width = scipy.stats.t.ppf(0.975, len(values) - 1) * np.std(values, ddof=1)
    width *= np.sqrt(1 / len(values) + of_next)
    return [float(np.mean(values) - width), float(np.mean(values) + width)]


def conduct(
    name: str,
    folder: Path,
    setting: Setting = HERE,
    *,
    only: str = "",
    scheduler: str = "",
    gpu_share: float = 0.0,
) -> None:
    """Make the runs that are missing in `folder`, in one `setting`, and sum up.

    `only` "print" shows their commands, "collect" sums up. `scheduler` and `gpu_share` say who
    else makes them: see `spread.train`.

    Raises: ValueError if there is no such experiment, or nothing to sum up. And what `runs.train`
    or `spread.train` raises; then the same call goes on from there.
    """
    if name not in EXPERIMENTS:
        raise ValueError(f"no experiment is called {name!r}; there are: {', '.join(EXPERIMENTS)}.")
    experiment, folder = EXPERIMENTS[name], folder / name
    target = records.EXPERIMENTS / f"{name}.json"
    summed = records.experiment(name) if target.exists() else {"arms": []}
    lacking = [] if only == "collect" else list(missing(experiment, folder, summed, setting))
    if only == "print":
        print(*(shlex.join(run.command()) for run in lacking), sep="\n")
        return
    if scheduler:
        from cifarlab_course.artefacts import spread  # needs Dask, which few have

        spread.train(lacking, folder, scheduler, gpu_share)
    else:
        for run in engine.progress(lacking, name):
            print(shlex.join(run.command()), flush=True)
            for epoch in run.train():
                print(describe(epoch, run.arm.changed_recipe().epochs), flush=True)
    summed = summary(experiment, folder, summed)
    with replacing(target) as temporary:
        temporary.write_text(json.dumps(summed, indent=1) + "\n", encoding="utf-8")
    planned = sum(len(arm.seeds) for arm in experiment.arms)
    done = sum(len(arm["runs"]) for arm in summed["arms"])
    print(f"{target.name} sums up {done} of {planned} runs.")
