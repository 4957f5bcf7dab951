"""Grade on other machines, by Dask: each worker has the sandbox, and keeps its runners.

    course grade --scheduler tcp://10.0.0.5:8786 ...   workers that others started
    course grade --scheduler local:2 ...               two processes here

The submissions of a lost worker go to another one. Files stay here: notebooks are sent, and results
come back.
"""

import contextlib
import functools
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor

import dask
import distributed
from distributed.scheduler import KilledWorker

from cifarlab_course import cluster
from cifarlab_course.grading import sandbox
from cifarlab_course.grading.assignment import Assignment
from cifarlab_course.grading.grade import Crew, Lost, Result, Right, Runners, graded, installed
from cifarlab_course.grading.judge import NotStarted
from cifarlab_course.grading.submission import Notebook

COMING = 60  # seconds that the first worker may take to come
TRIES = 3  # more, where a worker's sandbox does not start


@contextlib.contextmanager
def crew(scheduler: str, *, seconds: float, jobs: int | None, unsafe: bool) -> Iterator["Workers"]:
    """The workers of a `scheduler`, asked whether they can grade as this machine would.

    They grade `jobs` submissions at a time, or as many as they have threads.

    Raises: ValueError if nobody answers, or one of them can't.
    """
    # A large notebook is no mistake.
    dask.config.set({"distributed.admin.large-graph-warning-threshold": "1 GiB"})
    with cluster.connected(scheduler) as client:
        try:
            client.wait_for_workers(1, timeout=COMING)
        except TimeoutError as error:
            raise ValueError(
                f"--scheduler {scheduler}: no worker came within {COMING} seconds; start one by "
                f"`dask worker {client.scheduler.address}`."
            ) from error
        reasons = client.run(unfit, here(), unsafe, on_error="return")
        for address, reason in reasons.items():
            if reason:
                raise ValueError(f"--scheduler {scheduler}: the worker at {address}: {reason}")
        threads = sum(client.nthreads().values())
        with contextlib.closing(Workers(client, seconds, jobs or threads, unsafe)) as workers:
            yield workers


class Workers(Crew):
    """Who grades: workers elsewhere. Each thread of the pool waits for one of them."""

    def __init__(self, client: distributed.Client, seconds: float, jobs: int, unsafe: bool) -> None:
        self.client, self.seconds, self.unsafe = client, seconds, unsafe
        self.pool = ThreadPoolExecutor(jobs)
        self.waiting: set[distributed.Future] = set()

    def grade(self, notebook: Notebook, assignment: Assignment, right: Right) -> Result:
        """What a notebook earns on some worker."""
        future = None
        try:
            if self.client.status in ("closing", "closed"):  # it would wait for ever
                raise ConnectionError("it has not been reached for too long")
            task = notebook, assignment, right, self.seconds, self.unsafe, self.client.id
            future = self.client.submit(graded_there, *task, pure=False, retries=TRIES)
            self.waiting.add(future)
            return future.result()
        except KilledWorker as error:
            raise Lost(
                f"a worker was lost {error.allowed_failures + 1} times while it graded this; the "
                "same command tries it once more"
            ) from error
        except Exception as error:
            if future and future.status == "error":  # it was raised by the worker
                raise
            raise NotStarted(f"no answer from the scheduler: {error}") from error
        finally:
            self.waiting.discard(future)

    def cancel(self) -> None:
        """End all that is being graded, there as well."""
        self.pool.shutdown(wait=False, cancel_futures=True)
        self.client.cancel([*self.waiting])
        self.close()

    def close(self) -> None:
        """End the runners of the workers; nothing is graded any more, not even what waits."""
        self.pool.shutdown(wait=False, cancel_futures=True)  # first, or a thread sends the next one
        with contextlib.suppress(Exception):  # a lost scheduler has no workers, either
            self.client.run(stop, self.client.id, on_error="ignore")
        self.pool.shutdown()


# ------------------------------------------------------------------------------- on a worker

RUNNERS: dict[str, Runners | None] = {}  # of this process, by who asks; None once it is over


@functools.cache
def here() -> dict[str, str]:
    """What is installed here, as it was when this process loaded it."""
    return installed()


def unfit(theirs: Mapping[str, str], unsafe: bool) -> str:
    """Why this worker can't grade for one who has `theirs` installed; empty if it can.

    pip may differ, for no answer can use it.
    """
    own = here()
    names = sorted({*own, *theirs} - {"pip"})
    if differ := [name for name in names if own.get(name) != theirs.get(name)]:
        named = ", ".join(differ[:5]) + ", …" * (len(differ) > 5)
        return (
            f"it has other versions than the machine that asks: {named}. Install the same on both "
            "(`git pull`; PIP_CONSTRAINT=constraints/ci.txt), and start the worker anew."
        )
    return "" if unsafe else sandbox.refusal()


def graded_there(
    notebook: Notebook,
    assignment: Assignment,
    right: Right,
    seconds: float,
    unsafe: bool,
    asking: str,
) -> Result:
    """What a notebook earns, run in a runner that this worker has kept, or makes.

    Raises: NotStarted.
    """
    new = Runners(lambda imports: sandbox.runner(seconds, imports, unsafe=unsafe))
    runners = RUNNERS.setdefault(asking, new)
    if runners is None:  # a task that had been sent before all was called off
        raise NotStarted("Grading was stopped.")
    return graded(notebook, assignment, right, runners.lend)


def stop(asking: str) -> None:
    """End the runners of who was `asking`, for good."""
    if runners := RUNNERS.setdefault(asking, None):
        RUNNERS[asking] = None
        runners.cancel()
