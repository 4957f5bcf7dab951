"""An experiment runs what is missing, each run by itself, and sums up what really ran."""

import json
import math
import re
import shlex
import shutil
import statistics
from dataclasses import replace
from pathlib import Path

import pytest

from cifarlab import cli, data, model, recipes, records
from cifarlab_course import cli as course
from cifarlab_course.artefacts import experiment
from cifarlab_course.artefacts.arms import EXPERIMENTS, Arm, Experiment
from cifarlab_course.artefacts.experiment import interval

pytestmark = pytest.mark.slow
ARMS = [
    Arm("plain", "tiny", {"epochs": 1}, seeds=range(2)),
    Arm("no dropout", "tiny", {"epochs": 1, "network_options": {"dropout": 0.0}}, seeds=[0]),
]


@pytest.fixture
def command(tiny, monkeypatch, tmp_path, capsys):
    """Call the tool with an experiment of three runs on few synthetic shapes; what it prints."""
    synthetic = data.synthetic
    monkeypatch.setattr(data, "synthetic", lambda count, seed: synthetic(count // 10, seed))
    monkeypatch.setattr(experiment, "EXPERIMENTS", {"small": Experiment("Why?", ARMS)})
    monkeypatch.setattr(records, "EXPERIMENTS", tmp_path / "summaries")
    monkeypatch.chdir(tmp_path)

    def call(*options):
        return course.main(["experiment", "small", *options]), *capsys.readouterr()

    return call


SYNTHETIC = ["--data", "synthetic", "--device", "cpu", "--precision", "fp32"]


def test_all_runs_are_made_and_summed_up_with_what_was_changed(command):
    status, out, _ = command(*SYNTHETIC)
    assert status == 0 and "sums up 3 of 3 runs" in out
    found = records.experiment("small")
    assert found["question"] == "Why?"
    plain, no_dropout = found["arms"]
    assert [[run["seed"] for run in arm["runs"]] for arm in found["arms"]] == [[0, 1], [0]]
    assert no_dropout["recipe"]["network_options"] == {"dropout": 0.0}
    runs = [records.load(f"runs/experiments/small/plain-seed{seed}") for seed in (0, 1)]
    accuracies = [run["test_accuracy"] for run in plain["runs"]]
    assert accuracies == [run.test_accuracy for run in runs]
    assert plain["mean"] == statistics.mean(accuracies)
    assert plain["parameters"] == model.count_parameters(model.create("tiny"))
    assert no_dropout["interval"] is None, "one run says nothing of the next"


def test_the_training_images_are_scored_as_they_are(command):
    """While learning, images are augmented and dropout is on; afterwards neither."""
    command(*SYNTHETIC)
    runs = records.experiment("small")["arms"][0]["runs"]
    after = [run["train_accuracy"] for run in runs]
    while_learning = [run["history"][-1]["train"]["accuracy"] for run in runs]
    assert len(set(after + while_learning)) > 2
    assert all(0 < accuracy < 100 for accuracy in after)


def test_a_finished_run_is_not_made_again_and_a_stopped_one_goes_on(command, tmp_path):
    runs = tmp_path / "runs" / "experiments" / "small"
    assert (
        cli.main(["train", "tiny", "--change=epochs=1", "--out", f"{runs}/plain-seed0", *SYNTHETIC])
        == 0
    )
    stopped = ["train", "tiny", "--change=epochs=1", "--seed=1", "--out", f"{runs}/plain-seed1"]
    assert cli.main([*stopped, *SYNTHETIC]) == 0
    (runs / "plain-seed1" / "record.safetensors").unlink()  # written last
    _, out, _ = command("--print", *SYNTHETIC)
    lines = [shlex.split(line) for line in out.splitlines() if line.startswith("cifarlab")]
    assert [line[line.index("--seed") + 1] for line in lines] == ["1", "0"]
    assert ["--resume" in line for line in lines] == [True, False]


def test_what_is_chosen_by_meets_no_test_image(command, monkeypatch):
    """Its runs learn from the rest of the training images, and are summed up by validation."""
    choosing = Experiment("Which?", ARMS[:1], scored_on="validation")
    monkeypatch.setattr(experiment, "EXPERIMENTS", {"small": choosing})
    assert command(*SYNTHETIC)[0] == 0
    found = records.experiment("small")
    assert found["scored_on"] == "validation"
    runs = found["arms"][0]["runs"]
    assert [run["test_accuracy"] for run in runs] == [None, None]
    accuracies = [run["validation_accuracy"] for run in runs]
    assert found["arms"][0]["mean"] == statistics.mean(accuracies)
    (learned_from,) = {run["data"] for run in runs}
    assert learned_from.endswith(": 180 images, scored on 20")
    monkeypatch.setattr(experiment, "EXPERIMENTS", {"small": Experiment("Which?", ARMS[:1])})
    (records.EXPERIMENTS / "small.json").unlink()
    status, _, err = command("--collect")
    assert status == 2 and "made another way" in err


def test_a_printed_command_makes_the_run_that_is_collected(command):
    """So they can be carried to other machines, and the folders back."""
    _, out, _ = command("--print", *SYNTHETIC)
    for line in out.splitlines():
        assert cli.main(shlex.split(line)[1:]) == 0
    status, out, _ = command("--collect")
    assert status == 0 and "3 of 3 runs" in out
    assert command("--print", *SYNTHETIC)[1].strip() == ""


def test_a_trial_on_the_stand_in_is_not_taken_for_the_real_runs(command, tmp_path):
    """Neither what its summary holds nor what lies in its folders."""
    command(*SYNTHETIC)
    status, out, err = command("--print")
    assert status == 2 and out == "" and "synthetic shapes" in err and "Move" in err
    (tmp_path / "summaries" / "small.json").unlink()
    status, out, err = command("--print")
    assert status == 2 and out == "" and "plain-seed0" in err


def test_what_the_summary_holds_is_not_run_again_where_its_folders_are_not(command, tmp_path):
    """So an experiment can be gone on with from a clone, on another day."""
    command(*SYNTHETIC)
    before = records.experiment("small")
    shutil.rmtree(tmp_path / "runs")
    assert command("--print", *SYNTHETIC)[1].strip() == ""
    status, out, _ = command("--collect")
    assert status == 0 and "3 of 3 runs" in out and records.experiment("small") == before


def test_what_the_summary_holds_of_another_recipe_is_run_again(command, monkeypatch):
    command(*SYNTHETIC)
    changed = [ARMS[0], replace(ARMS[1], changes={"epochs": 1, "momentum": 0.5})]
    monkeypatch.setattr(experiment, "EXPERIMENTS", {"small": Experiment("Why?", changed)})
    shutil.rmtree("runs")
    lines = command("--print", *SYNTHETIC)[1].split("\n")
    assert len(lines) == 2 and "no-dropout-seed0" in lines[0]
    status, out, _ = command("--collect")
    assert status == 0 and "2 of 3 runs" in out
    assert [arm["name"] for arm in records.experiment("small")["arms"]] == ["plain"]


def test_to_collect_nothing_is_refused_with_the_place_of_the_first_run(command, tmp_path):
    status, _, err = command("--collect")
    assert status == 2 and "no run is finished" in err and "plain-seed0" in err
    assert not (tmp_path / "summaries").exists()


def test_a_run_that_was_made_another_way_is_not_summed_up(command):
    command(*SYNTHETIC)
    (records.EXPERIMENTS / "small.json").unlink()
    path = records.find("runs/experiments/small/plain-seed1")
    record = records.load(path)
    records.save(replace(record, recipe=replace(record.recipe, momentum=0.5)), path)
    status, _, err = command("--collect")
    assert status == 2 and "plain-seed1 was made another way" in err


def test_a_run_that_fails_ends_the_experiment_and_says_why(command):
    status, out, err = command("--device", "cuda:99")
    assert status == 2 and "cuda:99" in err
    assert out.count("cifarlab train") == 1


def test_a_run_that_was_stopped_goes_on_and_ends_as_if_it_had_not_been(
    command, monkeypatch, tmp_path
):
    longer = Experiment("Why?", [Arm("plain", "tiny", {"epochs": 2}, seeds=[0])])
    monkeypatch.setattr(experiment, "EXPERIMENTS", {"small": longer})
    command(*SYNTHETIC, "--runs", str(tmp_path / "at-once"))
    at_once = records.experiment("small")["arms"][0]["runs"][0]
    (records.EXPERIMENTS / "small.json").unlink()
    kept_to_itself = experiment.describe

    def stop(epoch, epochs):
        monkeypatch.setattr(experiment, "describe", kept_to_itself)
        raise KeyboardInterrupt

    monkeypatch.setattr(experiment, "describe", stop)
    assert command(*SYNTHETIC)[0] == 130
    status, out, _ = command(*SYNTHETIC)
    assert status == 0 and "--resume" in out and "epoch  2/2" in out
    stopped = records.experiment("small")["arms"][0]["runs"][0]
    assert len(stopped["earlier_sessions"]) == 1
    assert [epoch["train"] for epoch in stopped["history"]] == [
        epoch["train"] for epoch in at_once["history"]
    ]
    assert stopped["test_accuracy"] == at_once["test_accuracy"]


def test_an_unknown_experiment_is_answered_with_the_known_ones():
    with pytest.raises(ValueError, match="'convolution'; there are: .*convolutions"):
        experiment.conduct("convolution", Path("runs"))


def test_every_arm_has_a_recipe_under_200_000_parameters_and_a_folder_of_its_own(tmp_path):
    folders = []
    for each in EXPERIMENTS.values():
        assert each.scored_on in ("test", "validation")
        for arm in each.arms:
            recipe = recipes.get(arm.recipe, **arm.changes)
            network = recipe.create_network()
            assert model.count_parameters(network) < 200_000, arm.name
            folders += [arm.folder(tmp_path / each.question, seed) for seed in arm.seeds]
    assert len(set(folders)) == len(folders)


def test_the_arms_on_convolutions_are_equal_in_what_they_say():
    """Parameters within one per cent; the same field, counted by the package; the time of a step
    within six, as it was measured.
    """
    counts, fields, times = [], [], []
    measured = records.benchmark("convolutions")["milliseconds_per_image"]
    for arm in EXPERIMENTS["convolutions"].arms:
        network = model.create("fast", **arm.changes["network_options"])
        if arm.name.startswith("equal parameters"):
            counts.append(model.count_parameters(network))
        elif arm.name.startswith("equal field"):
            fields.append(experiment.view(network))
        else:
            times.append(measured[arm.name]["training"])
    assert max(counts) / min(counts) < 1.01
    assert fields == [{"receptive_field": 48, "coverage": 1.0}] * 5
    times += [measured[f"equal parameters, {kind}"]["training"] for kind in ("dense", "dilated")]
    assert len(times) == 4 and max(times) / min(times) < 1.06


def test_the_capstone_decides_between_designs_that_differ_in_one_thing():
    """Equal parameters, then only the place of the dilation, then only the width; one is tested."""
    draft, separable, early, narrower = EXPERIMENTS["capstone"].arms
    (chosen,) = EXPERIMENTS["capstone-tested"].arms
    options = [arm.changes["network_options"] for arm in (draft, separable, early, narrower)]
    sizes = [model.count_parameters(model.create("fast", **each)) for each in options]
    assert abs(sizes[1] / sizes[0] - 1) < 0.02 and sizes[2] == sizes[1]
    assert options[2]["widths"] == options[1]["widths"] != options[3]["widths"]
    assert options[3] | {"widths": options[2]["widths"]} == options[2]
    assert chosen.changes["network_options"] in options


def test_an_interval_is_students():
    """Of 1, 2, 3: mean 2, deviation 1, t of 2 degrees of freedom 4.303."""
    low, high = interval([1.0, 2.0, 3.0])
    assert math.isclose(high - 2, 4.3027 / math.sqrt(3), rel_tol=1e-4) and math.isclose(
        low + high, 4
    )
    low, high = interval([1.0, 2.0, 3.0], of_next=True)
    assert math.isclose(high - 2, 4.3027 * math.sqrt(4 / 3), rel_tol=1e-4)


def test_a_summary_survives_being_json(command):
    command(*SYNTHETIC)
    found = records.experiment("small")
    assert json.loads(json.dumps(found)) == found


def test_runs_of_other_images_are_not_summed_up_with_the_rest(command, tmp_path):
    command(*SYNTHETIC)
    (path,) = tmp_path.glob("runs/experiments/small/plain-seed1/record.json")
    told = json.loads(path.read_text())
    path.write_text(json.dumps(told | {"data": "synthetic shapes, and others: 1 image"}))
    (tmp_path / "summaries" / "small.json").unlink()
    status, _, err = command("--collect")
    assert status == 2 and "runs of different images" in err and "and others" in err


def test_runs_of_two_teachers_of_one_name_are_not_summed_up_together(command, tmp_path):
    command(*SYNTHETIC)
    path = tmp_path / "summaries" / "small.json"
    summed = json.loads(path.read_text())
    summed["arms"][0]["runs"][1]["teacher_weights"] = "another"
    path.write_text(json.dumps(summed))
    status, _, err = command("--collect")
    assert status == 2 and "plain" in err and "different teachers" in err


def test_arms_that_learn_from_more_and_fewer_images_are_summed_up_together(command, monkeypatch):
    arms = [Arm(f"{count} images", "tiny", {"images": count}, seeds=[0]) for count in (50, 100)]
    monkeypatch.setattr(
        experiment, "EXPERIMENTS", {"small": Experiment("Why?", [*arms, Arm("all", "tiny")])}
    )
    status, out, _ = command(*SYNTHETIC)
    assert status == 0 and "sums up 5 of 5 runs" in out
    learned_from = [arm["runs"][0]["data"] for arm in records.experiment("small")["arms"]]
    counts = [re.search(r": (\d+) images", each)[1] for each in learned_from]
    assert counts[:2] == ["50", "100"] and int(counts[2]) > 100  # and all there are


SHIPPED = sorted(path.stem for path in records.EXPERIMENTS.glob("*.json"))


@pytest.mark.parametrize("name", SHIPPED)
def test_what_ships_is_of_the_arms_as_they_are(name):
    """Else a changed recipe leaves the lessons with runs that no command repeats."""
    summed = records.experiment(name)
    arms = {arm.name: arm for arm in EXPERIMENTS[name].arms}
    for each in summed["arms"]:
        known = experiment.known_runs(arms[each["name"]], summed)
        assert sorted(known) == [run["seed"] for run in each["runs"]] != []
        assert all(run["data"].startswith("CIFAR-10:") for run in each["runs"])
