"""Every command does its one thing, speaks JSON, and answers a mistake in one line."""

import dataclasses
import json
import multiprocessing
import os
import re
import signal
import subprocess
import sys

import pytest
import torch
from torch import nn

from cifarlab import cli, data, engine, recipes, records
from cifarlab._files import replacing
from cifarlab.receptive_field import Box
from cifarlab.schema import Epoch, Score

CPU = ["--device", "cpu", "--precision", "fp32"]


@pytest.fixture(autouse=True)
def few_shapes(monkeypatch, tmp_path):
    """A tenth of the synthetic images; no real ones; a working folder of the test's own."""
    synthetic = data.synthetic
    monkeypatch.setattr(data, "synthetic", lambda count, seed: synthetic(count // 10, seed))
    monkeypatch.setenv("CIFARLAB_DATA", str(tmp_path / "no data"))
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def run(tiny, capsys):
    """Run a command in this process: exit status, standard output, standard error."""

    def command(*arguments):
        try:
            status = cli.main([str(argument) for argument in arguments])
        except SystemExit as stopped:  # argparse's own
            status = stopped.code
        return status, *capsys.readouterr()

    return command


@pytest.fixture
def training(run, tmp_path):
    """Train `tiny` on the synthetic shapes into the folder `run`."""

    def train(*options, out=tmp_path / "run"):
        return run("train", "tiny", "--data", "synthetic", "--out", out, *CPU, *options)

    return train


def refused(answer):
    """The one line of a refusal."""
    status, out, err = answer
    assert status == 2
    assert out == ""
    assert "Traceback" not in err
    assert err.count("\n") == 1 and err.startswith("cifarlab: "), err
    return err


# -------------------------------------------------------------------------------- end to end


@pytest.mark.slow
def test_a_run_is_trained_recorded_and_evaluated_to_the_same_number(run, training, tmp_path):
    """Train, record, weights, evaluate: the whole way, on the stand-in."""
    status, out, _ = training()
    assert status == 0
    lines = out.splitlines()
    assert len(lines) == 4, "a line for each epoch, and the result"
    assert [line.split()[1] for line in lines[:3]] == ["1/3", "2/3", "3/3"]
    record = records.load(tmp_path / "run")
    assert record.finished and record.seed == 0
    assert record.data == "synthetic shapes, not CIFAR-10: 200 images, scored on 50"
    assert f"{record.test_accuracy:.2f} %" in lines[-1]
    assert sorted(path.name for path in (tmp_path / "run").iterdir()) == [
        "checkpoint.pt",
        "record.json",
        "record.safetensors",
    ]

    # The weights were rounded to half precision, so an image near the border may change sides.
    status, out, _ = run("evaluate", tmp_path / "run", *CPU, "--json")
    facts = json.loads(out)
    assert status == 0
    assert facts["record"] == record.test_accuracy
    assert facts["test_accuracy"] == pytest.approx(record.test_accuracy, abs=4)
    assert facts["loss"] == pytest.approx(record.history[-1].held_out.loss, abs=0.01)


@pytest.mark.parametrize(
    ("held_out", "words"), [(None, ""), (Score(0.8, 71.234), "  held out  71.23 %")]
)
def test_an_epoch_s_line_says_which_number_is_which(held_out, words):
    epoch = Epoch(7, 0.1, Score(1.23456, 45.678), held_out, 12.4, 3.6, 2.0)
    line = f"epoch  7/30  loss 1.2346  train  45.68 %{words}  12 s + 4 s"
    assert cli.describe(epoch, 30) == line


@pytest.mark.slow
def test_what_is_printed_of_a_run_is_what_its_record_holds(run, training, tmp_path):
    """Epoch by epoch, then the result, and the score that is taken anew."""
    _, out, _ = training("--validation")
    *epochs, result = out.splitlines()
    record = records.load(tmp_path / "run")
    assert epochs == [cli.describe(epoch, 3) for epoch in record.history]
    assert result == (
        f"{record.accuracy:.2f} % of the validation images after the last epoch "
        f"({record.data}); the record is {tmp_path / 'run' / 'record.json'}"
    )
    _, out, _ = run("evaluate", tmp_path / "run", *CPU)
    assert out == (
        f"{record.accuracy:.2f} % of 20 validation images (synthetic shapes, not CIFAR-10), "
        f"loss {record.history[-1].held_out.loss:.4f}; the record says {record.accuracy:.2f} %\n"
    )


def test_a_run_in_a_folder_named_like_a_shipped_record_tells_its_own_result(
    run, training, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    _, out, _ = training("--epochs", 1, out="fast-seed0")
    own = records.load(tmp_path / "fast-seed0")
    assert out.splitlines()[-1].startswith(f"{own.accuracy:.2f} % of the test images")


@pytest.mark.slow
def test_images_are_normalised_for_a_network_as_its_recipe_says(
    run, training, tiny, monkeypatch, tmp_path
):
    """Five times the usual contrast: at the usual one its network would see other pictures."""
    strong = dataclasses.replace(tiny, std=(0.05, 0.05, 0.05))
    monkeypatch.setitem(recipes.RECIPES, "tiny", strong)
    training()
    loss = records.load(tmp_path / "run").history[-1].held_out.loss
    _, out, _ = run("evaluate", tmp_path / "run", *CPU, "--json")
    assert json.loads(out)["loss"] == pytest.approx(loss, abs=0.005)


@pytest.mark.slow
def test_a_record_of_the_stand_in_says_so_when_it_is_evaluated(run, training, tmp_path):
    training()
    status, out, _ = run("evaluate", tmp_path / "run", *CPU)
    assert status == 0
    assert re.search(r"% of 50 test images \(synthetic shapes, not CIFAR-10\)", out)


def test_a_record_of_cifar10_is_not_evaluated_on_the_stand_in(run, training, tmp_path):
    """Without the data set there is no score, rather than a wrong one."""
    training()
    path = tmp_path / "run" / "record.json"
    path.write_text(path.read_text().replace("synthetic shapes, not CIFAR-10:", "CIFAR-10:"))
    assert "By hand" in refused(run("evaluate", path, *CPU))


@pytest.mark.slow
@pytest.mark.parametrize("validation", [True, False])
def test_json_tells_each_epoch_and_then_the_result(training, tmp_path, validation):
    status, out, _ = training("--json", *(["--validation"] if validation else []))
    *epochs, result = [json.loads(line) for line in out.splitlines()]
    assert status == 0
    history = records.load(tmp_path / "run").history
    assert [Epoch.read(epoch) for epoch in epochs] == history
    assert result["record"] == str(tmp_path / "run" / "record.json")
    kind = "validation_accuracy" if validation else "test_accuracy"
    assert result[kind] == history[-1].held_out.accuracy


@pytest.mark.slow
def test_validation_images_come_from_the_training_images_and_give_no_test_accuracy(
    run, training, tmp_path
):
    """200 images, 2 of each class set aside; every epoch is scored, to choose by."""
    training("--validation")
    record = records.load(tmp_path / "run")
    assert record.data.endswith("180 images, scored on 20")
    assert record.test_accuracy is None and record.best_epoch_on_test is None
    assert record.validation_accuracy == record.history[-1].held_out.accuracy
    assert all(epoch.held_out for epoch in record.history)
    status, out, _ = run("evaluate", tmp_path / "run", *CPU, "--json")
    assert status == 0
    assert json.loads(out)["validation_accuracy"] == pytest.approx(record.accuracy, abs=5)


def test_test_images_are_looked_at_once_unless_the_recipe_asks(training, tmp_path):
    training()
    looked = [epoch.held_out is not None for epoch in records.load(tmp_path / "run").history]
    assert looked == [False, False, True]


def test_seed_epochs_and_folder_are_as_asked(training, run, tmp_path):
    out = tmp_path / "deep" / "folder"
    training("--seed", 5, "--epochs", 1, out=out)
    record = records.load(out)
    assert (record.seed, record.recipe.epochs, len(record.history)) == (5, 1, 1)
    status, *_ = run("train", "tiny", "--data", "synthetic", "--epochs", 1, *CPU)
    assert status == 0
    assert records.load(tmp_path / "runs" / "tiny-seed0").finished


def test_other_seeds_begin_with_other_weights(training, tmp_path):
    for seed in (0, 1):
        training("--seed", seed, "--epochs", 1, out=tmp_path / str(seed))
    first, second = (records.load(tmp_path / str(seed)).history[0] for seed in (0, 1))
    assert first.train != second.train


@pytest.mark.slow
def test_workers_change_nothing(training, tmp_path):
    training("--epochs", 1)
    training("--epochs", 1, "--workers", 1, out=tmp_path / "two")
    first, second = (records.load(tmp_path / name).history[0] for name in ("run", "two"))
    assert first.train == second.train and first.held_out == second.held_out


# ------------------------------------------------------------------------------------- resume


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs a process that starts as a copy")
def test_a_killed_command_goes_on_with_resume_and_leaves_the_same_record(
    run, training, tmp_path, monkeypatch
):
    """Killed after the checkpoint of epoch 2 and before its line in the record."""
    out = tmp_path / "killed"

    def work():
        save, saved = records.save, []

        def save_one(*arguments):
            if saved:
                os.kill(os.getpid(), signal.SIGKILL)
            saved.append(save(*arguments))

        records.save = save_one
        training(out=out)

    process = multiprocessing.get_context("fork").Process(target=work)
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    assert len(records.load(out).history) == 1

    assert training("--resume", out=out)[0] == 0
    training()
    resumed, whole = records.load(out), records.load(tmp_path / "run")
    assert [epoch.train for epoch in resumed.history] == [epoch.train for epoch in whole.history]
    assert resumed.test_accuracy == whole.test_accuracy
    assert [session.epochs for session in resumed.earlier_sessions] == [1]
    assert resumed.earlier_sessions[0].precision == "fp32"
    for name, tensor in records.load_network(out).state_dict().items():
        assert torch.equal(tensor, records.load_network(tmp_path / "run").state_dict()[name])


@pytest.mark.slow
def test_a_finished_run_may_be_resumed_and_stays_as_it_is(training, tmp_path):
    training()
    before = records.load(tmp_path / "run")
    (tmp_path / "run" / "record.safetensors").unlink()
    assert training("--resume")[0] == 0
    assert records.load(tmp_path / "run") == before, "nothing was trained by another session"
    assert records.load_network(tmp_path / "run")


@pytest.mark.slow
def test_a_resumed_run_that_stops_before_its_next_epoch_loses_nothing(
    training, tmp_path, monkeypatch
):
    """What it has read from the checkpoint stands in the record already."""
    training()
    before = records.load(tmp_path / "run")

    def stopped(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(cli, "describe", stopped)
    training("--resume")
    assert records.load(tmp_path / "run") == before


def test_a_run_is_not_overwritten_without_being_asked(training, monkeypatch):
    """And before any image is read: that takes a while, or a download."""
    training("--epochs", 1)
    monkeypatch.setattr(data, "synthetic", lambda *_, **__: pytest.fail("images were made"))
    message = refused(training("--epochs", 1))
    assert "--resume" in message and "--out" in message


@pytest.mark.slow
@pytest.mark.parametrize(
    ("options", "named"),
    [(["--epochs", 5], "recipe (epochs: "), (["--seed", 1], "seed"), (["--validation"], "images")],
)
def test_a_run_is_not_resumed_as_another(training, options, named):
    training()
    assert f"what differs: {named}" in refused(training("--resume", *options))


def test_a_damaged_checkpoint_is_answered_in_one_line(training, tmp_path):
    training("--epochs", 1)
    (tmp_path / "run" / "checkpoint.pt").write_bytes(b"PK\x03\x04 nothing")
    assert "Start anew in another folder" in refused(training("--epochs", 1, "--resume"))


def test_to_resume_where_nothing_is_says_so_and_leaves_nothing(training, tmp_path):
    message = refused(training("--resume"))
    assert "no run to resume" in message and "without --resume" in message
    assert not (tmp_path / "run").exists()


def test_an_interrupted_run_says_how_to_go_on(training, run, monkeypatch, tmp_path):
    training("--epochs", 1)

    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(engine, "fit", interrupted)
    status, _, err = training("--epochs", 1, "--resume")
    assert status == 130
    assert "finished epoch" in err and "--resume" in err and err.count("\n") == 1


# ------------------------------------------------------------------------------------- refusals


def test_an_unknown_recipe_is_answered_with_the_known_ones(run):
    message = refused(run("train", "slow", "--data", "synthetic"))
    assert "'slow'" in message and "baseline" in message


def test_any_field_of_a_recipe_can_be_changed_and_the_record_says_so(training, tmp_path):
    options = ["epochs=1", "augmentation=cutout", "nesterov=true", "std=[0.2, 0.2, 0.2]", "name=my"]
    status, _, _ = training(*(part for each in options for part in ("--change", each)))
    recipe = records.load(tmp_path / "run").recipe
    assert status == 0
    assert recipe == recipes.get(
        "tiny",
        name="my",
        epochs=1,
        augmentation="cutout",
        nesterov=True,
        std=(0.2, 0.2, 0.2),
    )


@pytest.mark.slow
def test_a_run_learns_from_the_teacher_that_a_change_names(run, training, tmp_path):
    training("--validation", out=tmp_path / "teacher")
    status, out, _ = training("--validation", "--change", "teacher=teacher")
    assert status == 0 and len(out.splitlines()) == 4
    assert records.load("run").teacher_weights
    assert "teacher='nobody': no record" in refused(training("--change", "teacher=nobody", out="x"))


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ("epochs", "--change epochs; write FIELD=VALUE"),
        ("pace=fast", "a recipe has no pace; its fields are"),
        ("epochs=many", "epochs='many'; it must be a whole number"),
        ("augmentation=3", "augmentation=3"),
        ("augmentation=[]", "augmentation=[]"),
        ("network={}", "network={}"),
        ('network_options={"dropout": "much"}', "network_options of 'tiny'"),
        ("std=[0.2]", "std=[0.2]; it must be three numbers"),
    ],
)
def test_a_change_that_cannot_be_made_is_named(training, change, named):
    assert named in refused(training("--change", change))


@pytest.mark.parametrize("seed", [-1, -100])
def test_a_negative_seed_is_refused(training, seed):
    assert f"--seed={seed}; it must be from 0 to 4,294,967,295" in refused(training("--seed", seed))


@pytest.mark.parametrize("epochs", [0, -3])
def test_no_epochs_are_refused(training, epochs):
    assert f"epochs={epochs}" in refused(training("--epochs", epochs))


@pytest.mark.parametrize(
    "options",
    [
        ["--seed", "one"],
        ["--epochs", "1.5"],
        ["--precision", "fp8"],
        ["--data", "cifar100"],
        ["--pace", "fast"],
    ],
)
def test_an_option_that_cannot_be_read_is_named_without_a_traceback(training, options):
    status, _, err = training(*options)
    assert status == 2
    assert options[0] in err and "Traceback" not in err


def test_a_device_that_is_not_there_is_answered_with_those_that_are(run):
    message = refused(run("train", "tiny", "--data", "synthetic", "--device", "cuda:99"))
    assert "device='cuda:99'; this machine has: cpu" in message


def test_a_folder_that_cannot_be_made_is_refused_before_the_training(
    training, monkeypatch, tmp_path
):
    """Else the first epoch would be lost: minutes of a real recipe."""
    monkeypatch.setattr(engine, "fit", lambda *_, **__: pytest.fail("it trained first"))
    (tmp_path / "file").write_text("")
    assert "name another --out" in refused(training(out=tmp_path / "file" / "run"))


def test_negative_workers_are_refused(training):
    assert "workers=-1" in refused(training("--workers", -1))


def test_a_training_that_diverges_is_answered_with_what_to_lower(training, monkeypatch):
    def diverged(*_, **__):
        raise engine.NotFinite("the loss is nan in epoch 1: Lower peak_learning_rate (0.1)")

    monkeypatch.setattr(engine, "fit", diverged)
    assert "Lower peak_learning_rate" in refused(training())


def test_an_error_of_many_lines_is_told_in_one(run, monkeypatch):
    def many():
        raise OSError("first\n\tsecond\nthird")

    monkeypatch.setattr(data, "find", many)
    assert refused(run("data")) == "cifarlab: first second third\n"


@pytest.mark.parametrize("command", [["train", "tiny"], ["data"]])
def test_missing_data_is_answered_with_the_address_the_md5_and_the_place(run, tmp_path, command):
    message = refused(run(*command))
    assert data.CIFAR10.url in message and data.CIFAR10.tgz_md5 in message
    assert str(tmp_path / "no data") in message
    assert not (tmp_path / "runs").exists()


def test_a_missing_record_is_answered_with_the_known_ones(run):
    message = refused(run("evaluate", "nothing"))
    assert "'nothing'" in message
    assert all(name in message for name in records.names())


def test_an_unfinished_record_without_weights_is_refused(run, training, tmp_path):
    training()
    (tmp_path / "run" / "record.safetensors").unlink()
    assert "does not hold the weights" in refused(run("evaluate", tmp_path / "run", *CPU))


@pytest.mark.slow
def test_a_record_without_a_result_is_evaluated_all_the_same(run, training, tmp_path):
    """Its weights are there; that it says nothing to compare them with is no reason to stop."""
    training()
    path = tmp_path / "run" / "record.json"
    fields = json.loads(path.read_text())
    fields["test_accuracy"] = None
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(fields))
    status, out, _ = run("evaluate", path, *CPU)
    assert status == 0
    assert "the record says" not in out


def test_no_command_at_all_is_answered_with_the_usage(run):
    status, _, err = run()
    assert status == 2
    assert "usage: cifarlab" in err


# ------------------------------------------------------------------------------- data, records


@pytest.mark.parametrize("options", [[], ["--json"]])
def test_data_says_where_the_images_lie(run, monkeypatch, tmp_path, options):
    monkeypatch.setattr(data, "find", lambda: tmp_path / "found")
    status, out, _ = run("data", *options)
    assert status == 0
    if options:
        assert json.loads(out) == {"folder": str(tmp_path / "found"), "sound": True}
    else:
        assert str(tmp_path / "found") in out


@pytest.mark.slow
def test_records_lists_one_line_each(run, training, monkeypatch, tmp_path):
    training()
    record = records.load(tmp_path / "run")
    monkeypatch.setattr(records, "SHIPPED", tmp_path / "shipped")
    records.save(record, tmp_path / "shipped" / "done-seed0.json")
    training("--epochs", 2, out=tmp_path / "other")
    unfinished = records.load(tmp_path / "other")
    records.save(
        records.Record(**{**vars(record), "history": [], "test_accuracy": None}),
        tmp_path / "shipped" / "begun-seed0.json",
    )
    records.save(unfinished, tmp_path / "shipped" / "short-seed0.json")
    status, out, _ = run("records")
    lines = out.splitlines()
    assert status == 0 and len(lines) == 3
    assert "begun-seed0" in lines[0] and "unfinished" in lines[0] and "0 of 3 epochs" in lines[0]
    assert f"{record.test_accuracy:.2f} %" in lines[1] and "960 parameters" in lines[1]

    status, out, _ = run("records", "--json")
    facts = [json.loads(line) for line in out.splitlines()]
    assert [fact["name"] for fact in facts] == ["begun-seed0", "done-seed0", "short-seed0"]
    assert [fact["test_accuracy"] for fact in facts][:2] == [None, record.test_accuracy]


def test_the_shipped_records_are_listed(run):
    status, out, _ = run("records", "--json")
    assert status == 0
    assert [json.loads(line)["name"] for line in out.splitlines()] == records.names()


# ---------------------------------------------------------------------------- receptive fields


@pytest.mark.parametrize(("layer", "size"), [("1", 5), ("2", 11)])
def test_a_layer_s_line_says_how_far_it_reaches_and_which_pixels_are_there(
    run, monkeypatch, layer, size
):
    """3x3 twice, then with dilation 3: the middle unit of 7x9, (3, 4), reaches size // 2 around."""
    monkeypatch.setattr(
        cli,
        "find_network",
        lambda *_: nn.Sequential(
            nn.Conv2d(3, 4, 3, padding=1),
            nn.Conv2d(4, 4, 3, padding=1),
            nn.Conv2d(4, 4, 3, padding=3, dilation=3),
        ),
    )
    command = ("receptive-field", "ours:net", "--input", "7x9", "--layer", layer)
    _, out, _ = run(*command)
    around = size // 2
    box = Box(max(3 - around, 0), max(4 - around, 0), min(3 + around, 6), min(4 + around, 8))
    assert out.startswith(f"{layer}: ") and f"size=({size}, {size})" in out
    assert out.endswith(f"; unit (3, 4) sees {box}\n")
    _, out, _ = run(*command, "--json")
    (facts,) = json.loads(out)["layers"]
    assert (facts["layer"], facts["sees"]) == (layer, box._asdict())
    assert (facts["unit"], facts["size"]) == ([3, 4], [size, size])


@pytest.mark.slow
def test_the_command_runs_as_a_program_of_its_own(tmp_path):
    """Once in a process of its own: exit status, one line, no traceback."""
    found = subprocess.run(
        [sys.executable, "-m", "cifarlab.cli", "train", "slow"],
        capture_output=True,
        text=True,
        check=False,
    )
    refused((found.returncode, found.stdout, found.stderr))


def test_a_module_of_ones_own_may_put_folders_first_and_ours_goes(run, tmp_path, monkeypatch):
    (tmp_path / "mine.py").write_text(
        "import sys\nfrom torch import nn\nsys.path.insert(0, 'theirs')\n"
        "def make():\n    return nn.Conv2d(3, 3, 3)\n"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    assert run("receptive-field", "mine:make", "--input", 8)[0] == 0
    assert "theirs" in sys.path and str(tmp_path) not in sys.path
