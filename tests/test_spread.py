"""Runs that Dask spreads over processes end as if they had been made here, one after another."""

import gc
import os
import signal
import threading
import time
import warnings
from dataclasses import asdict
from pathlib import Path
from types import SimpleNamespace

import distributed
import pytest

from cifarlab import records
from cifarlab_course import cluster
from cifarlab_course.artefacts import experiment, spread
from cifarlab_course.artefacts.arms import Arm, Experiment
from cifarlab_course.artefacts.run import Run, Setting

SETTING = Setting("synthetic", "cpu", "fp32")
QUICK = {"images": 200, "batch_size": 50, "epochs": 4}
QUESTION = Experiment("Why?", [Arm("plain", "fast", QUICK, seeds=range(3))])

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def nothing_left():
    """Dask leaves sockets unclosed; whichever test runs when they are collected would be told."""
    yield
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()


@pytest.fixture
def conduct(monkeypatch, tmp_path):
    """conduct(folder): make the runs of a small experiment there; the summary."""
    monkeypatch.setattr(experiment, "EXPERIMENTS", {"small": QUESTION})

    def call(folder: str, **options) -> dict:
        monkeypatch.setattr(records, "EXPERIMENTS", tmp_path / folder / "summaries")
        experiment.conduct("small", tmp_path / folder, SETTING, **options)
        return records.experiment("small")

    return call


def computed(summary: dict) -> list:
    """What a summary's runs came to, without what depends on the hour and the machine."""
    arms = summary["arms"]
    return [
        [run["test_accuracy"], run["train_accuracy"], [epoch["train"] for epoch in run["history"]]]
        for arm in arms
        for run in arm["runs"]
    ]


def test_two_processes_of_which_one_is_killed_come_to_the_same_summary(conduct, tmp_path):
    here = conduct("here")
    killed = []
    with (
        distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, dashboard_address="127.0.0.1:0"
        ) as cluster,
        distributed.Client(cluster) as client,
    ):

        def kill_one_at_work() -> None:
            """As soon as a run has a checkpoint."""
            runs = tmp_path / "spread" / "small"
            while not list(runs.glob("*/checkpoint.pt")):
                time.sleep(0.05)
            busy = [address for address, keys in client.processing().items() if keys]
            pid = client.run(os.getpid, workers=busy[:1])[busy[0]]
            os.kill(pid, signal.SIGKILL)
            killed.append(pid)

        killer = threading.Thread(target=kill_one_at_work)
        killer.start()
        there = conduct("spread", scheduler=cluster.scheduler_address)
        killer.join()
    assert killed
    assert computed(there) == computed(here)
    assert [path.name for path in (tmp_path / "spread" / "small").glob(".*")] == []


def test_a_run_made_where_the_folder_is_out_of_reach_is_brought_back(monkeypatch, tmp_path):
    monkeypatch.setattr(
        distributed, "get_worker", lambda: SimpleNamespace(state=SimpleNamespace(nthreads=1))
    )
    run = Run(QUESTION.arms[0], 0, tmp_path / "plain-seed0", "test", SETTING)
    files = spread.make(run, Path("elsewhere"))
    assert not run.out.exists()
    spread.keep(files, run.out)
    record = records.load(run.out)
    assert record.finished and record.seed == 0
    assert asdict(record.recipe)["images"] == 200
    assert records.load_network(run.out)


def test_a_run_that_is_cut_off_while_it_is_brought_back_is_not_taken_for_a_whole_one(
    monkeypatch, tmp_path
):
    """The weights, by which a whole run is known, come last, and under another name until then."""
    written = []
    replace = os.replace
    monkeypatch.setattr(os, "replace", lambda of, to: written.append(to.name) or replace(of, to))
    files = {"record.safetensors": b"weights", "checkpoint.pt": b"state", "record.json": b"{}"}
    spread.keep(files, tmp_path / "run")
    assert written == ["checkpoint.pt", "record.json", "record.safetensors"]
    assert {path.name: path.read_bytes() for path in (tmp_path / "run").iterdir()} == files


def test_a_worker_with_several_threads_is_refused(monkeypatch, tmp_path):
    monkeypatch.setattr(
        distributed, "get_worker", lambda: SimpleNamespace(state=SimpleNamespace(nthreads=4))
    )
    run = Run(QUESTION.arms[0], 0, tmp_path / "plain-seed0", "test", SETTING)
    with pytest.raises(ValueError, match="a worker has 4 threads; start it with --nthreads 1"):
        spread.make(run, tmp_path / "token")


@pytest.mark.parametrize("scheduler", ["local:two", "nowhere", "tcp://127.0.0.1:1"])
def test_where_nobody_answers_is_said_with_what_to_give(monkeypatch, scheduler):
    monkeypatch.setitem(distributed.config["distributed"]["comm"]["timeouts"], "connect", "1s")
    with pytest.raises(ValueError, match=f"--scheduler {scheduler}: .*dask scheduler"):
        cluster.connected(scheduler)
