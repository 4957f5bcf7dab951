"""What a run leaves behind: one JSON file, and the weights it speaks of.

The records in this folder ship with the package; the numbers that lessons print about
finished runs come from them, or from the summaries of experiments beside them.

Lesson: Train under 200,000 parameters.
"""

import json
import os
import platform
import subprocess
from contextlib import suppress
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from safetensors.torch import save as to_bytes
from torch import nn

from cifarlab import _arguments as arguments
from cifarlab import _checkpoints, model, schema
from cifarlab._files import replacing
from cifarlab.data import Split
from cifarlab.numerics import Numerics
from cifarlab.recipes import Recipe
from cifarlab.schema import SHIPPED, Epoch, Provenance, Record, original

__all__ = ["Record", "original"]  # beside what is defined here

PACKAGE = Path(__file__).parent
BENCHMARKS = SHIPPED / "benchmarks"
EXPERIMENTS = SHIPPED / "experiments"


def begin(
    recipe: Recipe,
    seed: int,
    network: nn.Module,
    train: Split,
    held_out: Split,
    numerics: Numerics,
    *,
    scored_on: str = "test",
    teacher: nn.Module | None = None,
) -> Record:
    """The record of a run that is about to start; `extend` it by every epoch of `engine.fit`."""
    return Record(
        recipe=recipe,
        seed=seed,
        data=f"{train.source}: {len(train)} images, scored on {len(held_out)}",
        load=None,
        seconds={"training": 0.0, "evaluation": 0.0},
        parameters=model.count_parameters(network),
        multiply_adds=model.count_multiply_adds(network),
        test_accuracy=None,
        scored_on=scored_on,
        teacher_weights=_checkpoints.weights_fingerprint(teacher),
        **vars(provenance(numerics)),
    )


def names() -> list[str]:
    """Names of the records that ship with the package."""
    return sorted(path.stem for path in SHIPPED.glob("*.json"))


def find(name: str | os.PathLike) -> Path:
    """The JSON file of a shipped record's name, or of a path to a record or its folder.

    Raises: ValueError if there is none.
    """
    if isinstance(name, str | os.PathLike):
        for path in (SHIPPED / f"{name}.json", Path(name), Path(name) / "record.json"):
            with suppress(OSError, ValueError):  # too long for a name, or a folder not ours
                if path.is_file():
                    return path
    raise ValueError(
        f"no record {arguments.shown(name)}; give the path of one, or one of: {', '.join(names())}."
    )


def load(name: str | os.PathLike) -> Record:
    """The record of that name, or at that path.

    Raises: ValueError if there is none or it can't be read.
    """
    path = find(name)
    record = schema.read(path)
    try:
        return replace(record, recipe=Recipe(**vars(record.recipe)))
    except (TypeError, ValueError) as error:
        raise ValueError(f"{path} is not a record of this version: {error}") from error


def benchmark(name: str) -> dict:
    """What `benchmarks/<name>.py` last measured, the machine, and its load when it began.

    Raises: ValueError if nothing of that name ships with the package.
    """
    return _shipped(BENCHMARKS, "benchmark", name)


def experiment(name: str) -> dict:
    """The summary that `course experiment <name>` last wrote: a question, and its arms.

    Raises: ValueError if nothing of that name ships with the package.
    Lesson: What augmentation buys.
    """
    return _shipped(EXPERIMENTS, "experiment", name)


def _shipped(folder: Path, kind: str, name: str) -> dict:
    known = sorted(path.stem for path in folder.glob("*.json"))
    if name not in known:
        raise ValueError(f"no {kind} {arguments.shown(name)}; there are: {', '.join(known)}.")
    return json.loads((folder / f"{name}.json").read_text(encoding="utf-8"))


def extend(record: Record, epoch: Epoch) -> Record:
    """`record` with one more epoch in it; after the last, with its accuracy."""
    history = [*record.history, epoch]
    loads = [e.load for e in history if e.load is not None]
    scored = {e.number: e.held_out.accuracy for e in history if e.held_out}
    final = scored[epoch.number] if len(history) == record.recipe.epochs else None
    on_test = record.scored_on == "test"
    return replace(
        record,
        history=history,
        load=sum(loads) / len(loads) if loads else None,
        seconds={
            "training": sum(e.seconds for e in history),
            "evaluation": sum(e.evaluation_seconds for e in history),
        },
        test_accuracy=final if on_test else None,
        validation_accuracy=None if on_test else final,
        best_epoch_on_test=(
            max(scored, key=lambda number: scored[number]) if on_test and len(scored) > 1 else None
        ),
    )


def save(record: Record, path: Path) -> None:
    """Write `record` to `path` as JSON."""
    with replacing(path) as temporary:
        temporary.write_text(schema.text(record), encoding="utf-8")


def save_weights(network: nn.Module, path: Path) -> None:
    """Write the network's numbers beside a record, to the last bit: `.safetensors`, float32."""
    with replacing(path) as temporary:
        temporary.write_bytes(_checkpoints.weights(network))


def load_network(name: str | os.PathLike) -> nn.Module:
    """The trained network of a record, float32, in eval mode, on the CPU.

    Raises: ValueError if the record has no weights, or damaged ones.
    """
    record, path = load(name), find(name).with_suffix(".safetensors")
    network = record.recipe.create_network()
    try:
        weights = load_file(path)
        network.load_state_dict({key: weights[key] for key in network.state_dict()})
    except (OSError, KeyError, SafetensorError, RuntimeError) as error:
        raise ValueError(f"{path} does not hold the weights of {record.name}: {error}") from error
    return network.eval()


def _answers(name: str | os.PathLike) -> Path:
    """Where a shipped record keeps what its network says of the test images."""
    return find(name).with_suffix(".test.safetensors")


def save_log_probabilities(name: str | os.PathLike, log_probabilities: torch.Tensor) -> None:
    """Keep what the network of a record says of the test images, (N, classes), in half precision.

    Raises: ValueError if there is no such record.
    """
    with replacing(_answers(name)) as temporary:
        temporary.write_bytes(to_bytes({"log_probabilities": log_probabilities.half()}))


def log_probabilities(name: str | os.PathLike) -> torch.Tensor:
    """What the network of a shipped record says of the 10,000 test images: (10000, 10) float32.

    In half precision: off by less than 0.01 of a nat down to -32, and by 0.02 below.

    Raises: ValueError if none are kept.
    Lesson: Look inside.
    """
    path = _answers(name)
    if not path.is_file():
        raise ValueError(f"{path} isn't there; only the shipped records keep them.")
    return load_file(path)["log_probabilities"].float()


# -------------------------------------------------------------------------------- provenance


def provenance(numerics: Numerics) -> Provenance:
    """Which code runs, and where."""
    packages = ("torch", "torchvision", "albumentations", "numpy")
    return Provenance(
        commit=commit(),
        versions={
            "python": platform.python_version(),
            **{name: version(name) for name in packages},
        },
        processor=processor(numerics),
        threads=torch.get_num_threads(),
        precision=numerics.precision,
        memory_format=numerics.memory_format,
    )


def commit() -> str:
    """The commit of this checkout, with "-dirty" where files differ; "unknown" outside git."""
    ours = ["git", "ls-files", "--error-unmatch", "__init__.py"]  # else the repository is another's
    describe = ["git", "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    try:
        for command in (ours, describe):
            answer = subprocess.run(
                command, cwd=PACKAGE, capture_output=True, text=True, check=True
            )
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return answer.stdout.strip()


def processor(numerics: Numerics) -> str:
    """The processor's name: the GPU's, or the CPU's with its cores and vector instructions."""
    if numerics.device.startswith("cuda"):
        return torch.cuda.get_device_name(numerics.device)
    name = platform.processor()
    try:  # Linux keeps it here; `platform` knows only "x86_64"
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                name = line.partition(":")[2].strip()
                break
    except OSError:
        pass
    return f"{name}, {os.cpu_count()} cores, {torch.backends.cpu.get_cpu_capability()}"
