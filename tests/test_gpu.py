"""What is done on a GPU is rehearsed here: it survives being cut off, and knows what's done."""

import dataclasses
import multiprocessing
import os
import signal
import time
from pathlib import Path

import pytest
import torch

from cifarlab import records
from cifarlab_course import cli
from cifarlab_course.artefacts import gpu
from cifarlab_course.artefacts.arms import TEACHER

TAUGHT = "runs/experiments/teacher/teacher-20-epochs-seed0"
UNTAUGHT = "runs/experiments/teacher/labels-20-epochs-seed0"


@pytest.fixture
def rehearse(monkeypatch, tmp_path):
    """Rehearse into a folder, without the lessons; where `until` names a file, until it's there."""
    monkeypatch.setattr(gpu, "lane", lambda cores, rehearse: ["course", "--help"])

    def work(out):
        os.setpgrp()  # the machine goes away with all that runs on it
        os._exit(cli.main(["gpu", "--rehearse", "--out", str(out)]))

    def start(out, until=None):
        process = multiprocessing.get_context("fork").Process(target=work, args=[tmp_path / out])
        process.start()
        while until and not (tmp_path / out / "rehearsal" / until).exists() and process.is_alive():
            time.sleep(0.005)
        if until:
            os.killpg(process.pid, signal.SIGKILL)
        process.join()
        return process.exitcode

    return start


def result(run):
    """What two runs of one recipe must agree in, to the last bit."""
    record = records.load(run)
    epochs = [
        dataclasses.replace(each, seconds=0, evaluation_seconds=0, load=0)
        for each in record.history
    ]
    return epochs, record.recipe, record.teacher_weights, (run / "record.safetensors").read_bytes()


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs a process that starts as a copy")
def test_what_was_cut_off_twice_ends_as_if_nothing_had_been(rehearse, tmp_path):
    """Once while the teacher learned, once while its students did; then there's nothing to do."""
    assert rehearse("whole") == 0
    assert rehearse("cut", until=f"{TEACHER}/record.json") == -signal.SIGKILL
    cut, whole = tmp_path / "cut" / "rehearsal", tmp_path / "whole" / "rehearsal"
    assert not (cut / TEACHER / "record.safetensors").exists(), "it was killed too late"
    assert rehearse("cut", until=f"{TAUGHT}/record.json") == -signal.SIGKILL
    assert rehearse("cut") == 0
    for run in (TEACHER, TAUGHT, UNTAUGHT):
        assert result(cut / run) == result(whole / run)
    assert len(records.load(cut / TEACHER).sessions) == 2
    assert records.load(cut / TAUGHT).teacher_weights
    before = {path: path.stat().st_mtime_ns for path in cut.rglob("*") if path.is_file()}
    assert rehearse("cut") == 0
    assert before == {path: path.stat().st_mtime_ns for path in cut.rglob("*") if path.is_file()}


def test_a_teacher_is_trained_where_its_students_look_for_it(monkeypatch, tmp_path):
    """On the images that they learn from; the cores that prepare pictures are shared out."""
    monkeypatch.chdir(tmp_path)
    (teacher,), students = (gpu.lacking(*step, 14, rehearse=False) for step in gpu.STEPS)
    assert teacher[teacher.index("--out") + 1] == TEACHER
    taught = [command for command in students if f"--change=teacher={TEACHER}" in command]
    assert (len(taught), len(students)) == (3, 6)
    for command, workers in [(teacher, "14"), *((each, "2") for each in students)]:
        assert "--validation" in command and command[command.index("--device") + 1] == "cuda"
        assert command[command.index("--workers") + 1] == workers


@pytest.mark.slow
def test_what_fails_or_outlasts_the_time_is_not_called_done(monkeypatch, capfd):
    """And nothing is begun that can't be done in the time that is left."""
    records, wrong = ["cifarlab", "records"], ["cifarlab", "evaluate", "nothing"]
    assert gpu.side_by_side([], deadline=0)
    assert not gpu.side_by_side([records], time.monotonic() + gpu.LEAST - 1)
    assert capfd.readouterr().out == ""
    monkeypatch.setattr(gpu, "LEAST", 0)
    assert not gpu.side_by_side([records], time.monotonic() + 0.1)
    assert capfd.readouterr().out == "cifarlab records\nthe time is over\n"
    assert not gpu.side_by_side([wrong, records], time.monotonic() + 600)
    assert "baseline-seed0 " in capfd.readouterr().out, "one that fails takes no other with it"


def test_the_lessons_are_checked_in_each_mode_of_the_gpu_and_a_failure_stops_nothing(
    monkeypatch, tmp_path, capsys
):
    asked = []
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(gpu, "side_by_side", lambda commands, _: bool(asked.append(commands)))
    assert cli.main(["gpu", "--out", str(tmp_path), "--time", "600"]) == 1
    assert "the same command goes on" in capsys.readouterr().out
    (lane,), teacher, students = asked
    assert lane[:5] == "course validate --out validation --resume".split()
    assert lane[5:7] == ["--mode", "GPU"]
    assert (len(teacher), len(students)) == (1, 6)
    assert Path.cwd() != tmp_path


def test_without_a_gpu_only_the_rehearsal_is_to_be_had(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert cli.main(["gpu", "--out", str(tmp_path)]) == 2
    assert capsys.readouterr().err == (
        "course gpu: torch finds no GPU here; --rehearse does without.\n"
    )
    assert not list(tmp_path.iterdir())
