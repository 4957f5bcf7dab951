"""A class that Dask's workers grade has the files that it has when it is graded here."""

import gc
import os
import signal
import subprocess
import sys
import threading
import time
import warnings

import dask
import distributed
import pytest

from cifarlab_course.grading import sandbox, workers
from cifarlab_course.grading.judge import NotStarted
from tests.submissions import CASES, SECRET, Draft, run, save
from tests.test_grading import drafts

pytestmark = [pytest.mark.slow, pytest.mark.sandbox]
REFUSAL = sandbox.refusal()
BOXED = pytest.mark.skipif(bool(REFUSAL), reason=REFUSAL[:150])


@pytest.fixture(autouse=True)
def nothing_left():
    """Dask leaves sockets unclosed; whichever test runs when they are collected would be told."""
    yield
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()


def cluster_of(count, **options):
    """So many workers; the page on them has a port of its own."""
    alone = {"n_workers": count, "threads_per_worker": 1, "dashboard_address": "127.0.0.1:0"}
    return distributed.LocalCluster(**alone, **options)


@pytest.fixture(scope="module")
def client():
    """That of two workers, which nannies replace where they are killed."""
    with (
        dask.config.set({"distributed.scheduler.allowed-failures": 1}),
        cluster_of(2) as cluster,
        distributed.Client(cluster) as reached,
    ):
        yield reached


@pytest.fixture(scope="module")
def submissions(tmp_path_factory):
    """What a class of ten handed in: right, empty, cheating, unreadable."""
    folder = tmp_path_factory.mktemp("class")
    drafts(folder, 8)
    for name in ("a_forged_verdict", "exit_at_once"):
        CASES[name].fill(folder / name)
    return folder


def options(submissions, out):
    """The words behind `course` that grade a class."""
    return ["grade", "--submissions", submissions, "--out", out / "grades.csv", "--timeout", 20]


def written(folder):
    """All files, by name; results stand in the order in which they came."""
    files = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    return {
        str(path.relative_to(folder)): sorted(data.splitlines()) if ".jsonl" in path.name else data
        for path, data in files.items()
    }


@pytest.fixture(scope="module")
def graded_here(submissions, tmp_path_factory):
    """The files of the class, graded without Dask."""
    out = tmp_path_factory.mktemp("here")
    done = run(*options(submissions, out), "--jobs", 2)
    assert done.returncode == 0, done.stderr
    return written(out)


def wait_for(out, count):
    """Wait until so many submissions have been graded."""
    results = out / "grades-results.jsonl"
    while not results.exists() or results.read_text().count("\n") < count:
        time.sleep(0.05)


@BOXED
def test_a_class_is_graded_alike_where_a_worker_is_killed(
    client, submissions, graded_here, tmp_path
):
    killed = []

    def kill_one_at_work():
        wait_for(tmp_path, 3)
        while not (busy := [address for address, keys in client.processing().items() if keys]):
            time.sleep(0.01)
        pid = client.run(os.getpid, workers=busy[:1])[busy[0]]
        os.kill(pid, signal.SIGKILL)
        killed.append(pid)

    killer = threading.Thread(target=kill_one_at_work)
    killer.start()
    done = run(*options(submissions, tmp_path), "--scheduler", client.scheduler.address)
    killer.join()
    assert done.returncode == 0, done.stderr
    assert killed and written(tmp_path) == graded_here


@BOXED
def test_a_class_that_is_interrupted_goes_on_and_leaves_no_runner_behind(
    client, submissions, graded_here, tmp_path
):
    words = [*options(submissions, tmp_path), "--scheduler", client.scheduler.address]
    command = [sys.executable, "-m", "cifarlab_course.cli", *map(str, words)]
    grading = subprocess.Popen(
        command, env=os.environ | {"SECRET": SECRET}, stderr=subprocess.PIPE, text=True
    )
    wait_for(tmp_path, 2)
    grading.send_signal(signal.SIGINT)
    _, said = grading.communicate(timeout=60)
    assert grading.returncode == 130
    assert "stopped while it graded" in said and "goes on from here" in said
    assert not any(client.run(lambda: any(workers.RUNNERS.values())).values())
    assert not (tmp_path / "grades.csv").exists()
    done = run(*words)
    assert done.returncode == 0, done.stderr
    assert written(tmp_path) == graded_here


def test_what_was_sent_before_grading_was_called_off_starts_nothing_afterwards(monkeypatch):
    monkeypatch.setattr(workers, "RUNNERS", {})
    workers.stop("who asks")
    with pytest.raises(NotStarted, match="stopped"):
        workers.graded_there(None, None, {}, 30, True, "who asks")


def test_what_waits_when_an_error_is_told_is_sent_to_no_worker():
    sent, over = [], threading.Event()

    class Client:
        id = "who asks"

        def run(self, *unused, **options):
            over.set()  # the one at work comes back once its runner has ended

    def send():
        sent.append(None)
        over.wait(60)

    crew = workers.Workers(Client(), 30, 1, unsafe=True)
    for _ in range(3):
        crew.pool.submit(send)
    crew.close()
    assert len(sent) <= 1


@BOXED
def test_what_kills_every_worker_costs_its_own_row_and_is_tried_again(
    client, monkeypatch, tmp_path
):
    drafts(tmp_path / "class", 3)
    save(Draft().first("# deadly"), tmp_path / "class" / "deadly" / "assignment.ipynb")

    def deadly(notebook, *more):
        """What a worker does, in place of `graded_there`."""
        if any("# deadly" in cell.source for cell in notebook.cells):
            os.kill(os.getpid(), signal.SIGKILL)
        return workers.graded_there(notebook, *more)

    words = [*options(tmp_path / "class", tmp_path), "--scheduler", client.scheduler.address]
    with monkeypatch.context() as patch:
        patch.setattr(workers, "graded_there", deadly)
        done = run(*words)
    assert done.returncode == 0, done.stderr
    table = (tmp_path / "grades.csv").read_text().splitlines()
    flagged = [line for line in table if "a worker was lost 2 times while it graded this" in line]
    assert len(flagged) == 1 and "deadly" in flagged[0] and len(table) == 5
    assert run(*words).returncode == 0
    assert "a worker was lost" not in (tmp_path / "grades.csv").read_text()


def refused(tmp_path, scheduler):
    """What is said where nothing can be graded; nothing is written."""
    drafts(tmp_path / "class", 1)
    done = run(*options(tmp_path / "class", tmp_path), "--scheduler", scheduler)
    assert done.returncode == 2
    assert os.listdir(tmp_path) == ["class"]
    assert done.stderr.count("\n") == 1
    return done.stderr


def test_an_address_where_nobody_answers_is_told(monkeypatch, tmp_path):
    monkeypatch.setitem(distributed.config["distributed"]["comm"]["timeouts"], "connect", "1s")
    said = refused(tmp_path, "tcp://127.0.0.1:1")
    assert "--scheduler tcp://127.0.0.1:1: " in said and "dask scheduler" in said


def test_a_scheduler_without_a_worker_is_told(monkeypatch, tmp_path):
    monkeypatch.setattr(workers, "COMING", 1)
    with cluster_of(0) as cluster:
        address = cluster.scheduler_address
        said = refused(tmp_path, address)
    assert f"no worker came within 1 seconds; start one by `dask worker {address}`." in said


def test_a_worker_without_a_sandbox_is_refused_before_anything_is_graded(tmp_path):
    with cluster_of(1, env={"PATH": "/nowhere"}) as cluster:
        said = refused(tmp_path, cluster.scheduler_address)
        (address,) = cluster.scheduler_info["workers"]
    assert f"the worker at {address}: Submissions run in bubblewrap" in said


def test_a_worker_with_other_versions_is_refused_and_pip_may_differ():
    other = workers.here() | {"numpy": "1.0", "absent": "1", "pip": "0"}
    assert "than the machine that asks: absent, numpy. Install" in workers.unfit(other, unsafe=True)
    assert workers.unfit(workers.here() | {"pip": "0"}, unsafe=True) == ""
