"""The runs of an experiment on several processes or machines, by Dask.

    course experiment confidence --scheduler local:2               two processes here
    course experiment confidence --scheduler tcp://10.0.0.5:8786   workers that others started

The scheduler hands every run to a worker. Where a worker is lost, its run goes to another one,
which goes on from the last checkpoint if it reaches the folder of the runs, and begins anew if not.
"""

import tempfile
import uuid
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import distributed

from cifarlab._files import replacing
from cifarlab_course import cluster
from cifarlab_course.artefacts.run import Run


def train(runs: Sequence[Run], folder: Path, scheduler: str, gpu_share: float = 0.0) -> None:
    """Make all `runs`, whose folders lie in `folder`, on the workers of a `scheduler`.

    `scheduler` is the address of one, or "local:2" for two processes here. Each run takes
    `gpu_share` of a worker's resource "GPU": 0.25 lets four small runs share one.

    Raises: ValueError if nobody answers at that address. And what a run raises; those that are
    finished by then have their folders.
    """
    folder.mkdir(parents=True, exist_ok=True)
    token = folder.resolve() / f".{uuid.uuid4().hex}"  # who sees it shares this disk
    resources = {"GPU": gpu_share} if gpu_share else None
    token.touch()
    try:
        with cluster.connected(scheduler) as client:
            futures = client.map(make, runs, token=token, pure=False, resources=resources)
            folders = {future: run.out for future, run in zip(futures, runs, strict=True)}
            for future in distributed.as_completed(futures):
                keep(future.result(), folders[future])
                print(f"{folders[future].name} is finished", flush=True)
    finally:
        token.unlink()


def make(run: Run, token: Path) -> dict[str, bytes]:
    """On a worker: make a run. The files of its folder by name, where the client can't see them.

    Raises: ValueError if the worker has several threads, for runs share their process's stream of
    random numbers.
    """
    threads = distributed.get_worker().state.nthreads
    if threads != 1:
        raise ValueError(f"a worker has {threads} threads; start it with --nthreads 1.")
    if token.exists():
        finish(replace(run, out=token.parent / run.out.name))
        return {}
    with tempfile.TemporaryDirectory() as own:
        out = Path(own, run.out.name)
        finish(replace(run, out=out))
        return {path.name: path.read_bytes() for path in out.iterdir()}


def finish(run: Run) -> None:
    """Train to the last epoch."""
    for _ in run.train():
        pass


def keep(files: dict[str, bytes], out: Path) -> None:
    """Write down a run that was made where its folder can't be reached."""
    for name in sorted(files, key=lambda name: name == "record.safetensors"):  # `finished` asks it
        with replacing(out / name) as temporary:
            temporary.write_bytes(files[name])
