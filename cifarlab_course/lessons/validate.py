"""The long checks: every lesson in every numeric mode and odd place, and the long tests.

    course validate                  all of them
    course validate --only NAME      one lesson, or long-tests: such as after mending it
    course validate --mode GPU       only in the modes of that name, neither in odd places
                                     nor the long tests
    course validate --jobs 8         so many lessons at a time
    course validate --resume         only what the last such report, of this commit and this kind
                                     of machine, has not yet: where it was cut off

Writes a dated report to validation/, anew after every check, to be committed: the colophon shows
it. Exit status 1 if anything failed; the report then says what.
"""

import copy
import datetime
import os
import platform
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from importlib.metadata import version
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import nbformat
import torch

from cifarlab import records
from cifarlab._files import replacing
from cifarlab.numerics import fastest
from cifarlab_course import ROOT
from cifarlab_course.lessons.notebooks import LESSONS

LONG_TESTS = "long-tests"
AS_IT_IS = "as the machine is"  # their mode
PLACES = ["from another folder", "alone, package installed", "every cell twice"]
PACKAGES = ["torch", "torchvision", "albumentations", "numpy", "ipywidgets", "nbval"]
FULL = {"CIFARLAB_PRECISION": "fp32", "CIFARLAB_MEMORY_FORMAT": "NCHW"}
BRAIN_FLOAT = {"CIFARLAB_PRECISION": "bf16", "CIFARLAB_MEMORY_FORMAT": "channels_last"}
HALF = {"CIFARLAB_PRECISION": "fp16", "CIFARLAB_MEMORY_FORMAT": "channels_last"}


def modes() -> dict[str, dict[str, str]]:
    """The numeric modes of this machine: a name, and the environment that brings it about."""
    on_cpu = {"CIFARLAB_DEVICE": "cpu"}
    environments = {
        "CPU, fp32, NCHW": on_cpu | FULL,
        "CPU, bf16, channels_last": on_cpu | BRAIN_FLOAT,
        "CPU, one thread": on_cpu | {"OMP_NUM_THREADS": "1"},
        "CPU, two threads": on_cpu | {"OMP_NUM_THREADS": "2"},
    }
    if torch.cuda.is_available():
        on_gpu = {"CIFARLAB_DEVICE": "cuda"}
        environments |= {
            "GPU, as the engine chooses": on_gpu,
            "GPU, fp32, NCHW": on_gpu | FULL,
            "GPU, fp16, channels_last": on_gpu | HALF,
        }
    return environments


def passes(
    arguments: list[str], environment: dict[str, str], folder: Path = ROOT
) -> tuple[bool, float]:
    """Does this pytest call pass, made in that folder, and in how many minutes?"""
    started = time.monotonic()
    result = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *arguments],
        cwd=folder,
        env=os.environ | environment,
    )
    return result.returncode == 0, (time.monotonic() - started) / 60


def install(folder: Path) -> dict[str, str]:
    """The package as pip installs it, in `folder`; the environment in which Python takes it.

    Raises: RuntimeError if Python would take another.
    """
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target"]
    subprocess.run([*pip, str(folder), str(ROOT)], check=True)
    environment = {"PYTHONPATH": str(folder), "TQDM_DISABLE": "1"}
    ask = [sys.executable, "-c", "import cifarlab; print(cifarlab.__file__)"]
    path = subprocess.run(
        ask, cwd=folder, env=os.environ | environment, capture_output=True, text=True, check=True
    ).stdout
    if not Path(path).is_relative_to(folder):
        raise RuntimeError(f"Python takes cifarlab from {path.strip()}, not from {folder}")
    return environment


def twice(notebook: nbformat.NotebookNode) -> nbformat.NotebookNode:
    """All cells, and all of them again: in one kernel, with the same outputs."""
    doubled = copy.deepcopy(notebook)
    again = copy.deepcopy(notebook.cells)
    for number, cell in enumerate(again):
        cell.id = f"again-{number}"
    doubled.cells += again
    return doubled


def places(path: Path, options: list[str], home: Path, environment: dict[str, str]) -> list[tuple]:
    """One row for each odd place or way in which a learner may run the lesson.

    `home` is a folder outside the repository and `environment` has the installed package.
    """
    alone = home / path.name
    alone.write_bytes(path.read_bytes())
    again = home / f"twice {path.name}"
    nbformat.write(twice(nbformat.read(path, as_version=4)), again)
    nothing = ["-c", os.devnull, "--rootdir", str(home), *options]  # knows nothing of our tests
    return [
        (path.stem, PLACES[0], *passes([*options, str(path)], {}, home)),
        (path.stem, PLACES[1], *passes([*nothing, str(alone)], environment, home)),
        (path.stem, PLACES[2], *passes([*nothing, str(again)], environment, home)),
    ]


def as_made(make: Callable[[Any], Any], given: Sequence, jobs: int) -> Iterator[Any]:
    """What `make` makes of each, `jobs` at a time, in the order in which they are done.

    After an error nothing more is begun.
    """
    # Unlike `as_completed`, it tells what was done before an error before the error.
    done: SimpleQueue[Future] = SimpleQueue()
    with ThreadPoolExecutor(jobs) as pool:
        try:
            for each in given:
                pool.submit(make, each).add_done_callback(done.put)
            for _ in given:
                yield done.get().result()
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def checks(
    lessons: list[Path],
    chosen: dict[str, dict[str, str]],
    jobs: int,
    *,
    elsewhere: bool,
    long: bool,
    known: set[tuple],
) -> Iterator[tuple]:
    """One row for each check, once it has been made: its name, its mode, passed or not, minutes.

    The lessons in the `chosen` modes; then, if asked for, in odd places; `jobs` at a time. Then, if
    asked for, the long tests. Not again those whose names and modes are `known`.
    """
    nbval = ["--nbval", "--nbval-current-env", "--nbval-cell-timeout=3600"]

    def in_mode(check: tuple[Path, str]) -> tuple:
        path, mode = check
        print(f"\n{path.name}: {mode}", flush=True)
        return path.stem, mode, *passes([*nbval, str(path)], chosen[mode])

    lacking = [
        (path, mode) for mode in chosen for path in lessons if (path.stem, mode) not in known
    ]
    yield from as_made(in_mode, lacking, jobs)
    lessons = [path for path in lessons if (path.stem, PLACES[-1]) not in known]
    if lessons and elsewhere:  # only lessons need the package installed
        with tempfile.TemporaryDirectory() as temporary:
            home = Path(temporary) / "Vérité, 真 and spaces"
            environment = install(Path(temporary) / "installed")
            home.mkdir()

            def in_places(path: Path) -> list[tuple]:
                print(f"\n{path.name}: in odd places", flush=True)
                return places(path, nbval, home, environment)

            for rows in as_made(in_places, lessons, jobs):
                yield from rows
    if long and (LONG_TESTS, AS_IT_IS) not in known:
        print(f"\n{LONG_TESTS}", flush=True)
        yield LONG_TESTS, AS_IT_IS, *passes(["-m", "long", "tests"], {})


def write_report(path: Path, title: str, rows: list[tuple], *, finished: bool) -> None:
    """Write what is known so far, so that a run that is cut off leaves it."""
    numerics = fastest()
    report = [
        f"# {title}",
        "",
        f"{sum(passed for _, _, passed, _ in rows)} of {len(rows)} checks passed, in "
        f"{sum(minutes for *_, minutes in rows):.0f} minutes, at commit `{records.commit()[:7]}`."
        f"{'' if finished else ' The run was cut off before its last check.'}",
        "",
        f"{platform.system()}, Python {platform.python_version()}, "
        + ", ".join(f"{name} {version(name)}" for name in PACKAGES)
        + f". The engine's own choice here: {numerics.precision}, {numerics.memory_format}.",
        "",
        "| Check | Mode | Result | Minutes |",
        "| --- | --- | --- | --: |",
        *(
            f"| {check} | {mode} | {'passed' if passed else '**failed**'} | {minutes:.1f} |"
            for check, mode, passed, minutes in rows
        ),
        "",
    ]
    with replacing(path) as temporary:
        temporary.write_text("\n".join(report), encoding="utf-8")


def read_report(path: Path, title: str) -> list[tuple]:
    """The rows of a report of this title, but for its date, and of this commit; none of another."""
    text = path.read_text(encoding="utf-8")
    if not text.startswith(f"# {path.name[:10]}, {title}\n"):
        return []
    if f"at commit `{records.commit()[:7]}`." not in text:
        return []
    rows = re.findall(r"^\| (.+?) \| (.+?) \| (passed|\*\*failed\*\*) \| (\S+) \|$", text, re.M)
    return [
        (check, mode, result == "passed", float(minutes)) for check, mode, result, minutes in rows
    ]


def validate(
    only: str | None = None,
    mode: str = "",
    jobs: int = 1,
    folder: Path = ROOT / "validation",
    *,
    resume: bool = False,
) -> int:
    """Run the checks, `jobs` at a time, write the report into `folder`; 1 if one failed, else 0.

    `only` is a lesson, or long-tests; `mode` is what the modes to run begin with. With `resume`,
    go on with the last report of the same checks, machine and commit, if there is one.

    Raises: ValueError if there is no such lesson or mode.
    """
    if only not in (None, LONG_TESTS, *(path.stem for path in LESSONS)):
        names = ", ".join([*(path.stem for path in LESSONS), LONG_TESTS])
        raise ValueError(f"--only {only}; it is one of: {names}.")
    chosen = {name: env for name, env in modes().items() if name.startswith(mode)}
    if not chosen:
        raise ValueError(f"--mode {mode}; here the modes are: {'; '.join(modes())}.")
    os.environ["CIFARLAB_REQUIRE_DATA"] = "1"  # a skipped lesson is not a validated one
    if data_folder := os.environ.get("CIFARLAB_DATA"):
        os.environ["CIFARLAB_DATA"] = os.path.abspath(data_folder)  # lessons run in many folders
    today = datetime.datetime.now(datetime.UTC).date()
    device = "cuda" if any(name.startswith("GPU") for name in chosen) else "cpu"
    part = [choice for choice in (only, mode) if choice]  # a part is no whole report
    title = ": ".join([records.processor(fastest(device)), *part])
    name = "-".join(["gpu" if device == "cuda" else "cpu", *part])
    name = f"{re.sub(r'[^a-zA-Z0-9]+', '-', name).lower()}.md"
    path, rows = folder / f"{today}-{name}", []
    for before in sorted(folder.glob(f"????-??-??-{name}")) if resume else []:
        if known := read_report(before, title):
            path, rows = before, known
    title = f"{path.name[:10]}, {title}"
    for row in checks(
        [path for path in LESSONS if only in (None, path.stem)],
        chosen,
        jobs,
        elsewhere=not mode,
        long=only in (None, LONG_TESTS) and not mode,
        known={(check, mode) for check, mode, *_ in rows},
    ):
        rows.append(row)
        write_report(path, title, rows, finished=False)
    write_report(path, title, rows, finished=True)
    print(f"\n{path}: commit it, and the colophon shows it")
    return 0 if all(passed for _, _, passed, _ in rows) else 1
