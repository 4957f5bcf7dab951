"""A record says what was asked, what ran and how it went, and gives it back unchanged."""

import dataclasses
import json
import os
import subprocess

import pytest
import torch
from safetensors.torch import load_file, save_file

from cifarlab import data, engine, model, recipes, records
from cifarlab.numerics import MEMORY_FORMATS, Numerics
from cifarlab.schema import Epoch, Score, Session
from tests.helpers import FP32, Tiny, full_disk


def epoch(number, held_out=50.0, seconds=10.0, load=2.0):
    scored = None if held_out is None else Score(1.5, held_out)
    return Epoch(number, 0.1, Score(2.0, 40.0), scored, seconds, 1.0, load)


@pytest.fixture
def begun(tiny):
    """The record of a run of `tiny`, seed 4, that has not seen an epoch yet."""
    return records.Record(
        recipe=tiny,
        seed=4,
        data="synthetic shapes, not CIFAR-10: 200 images, scored on 50",
        load=None,
        seconds={"training": 0.0, "evaluation": 0.0},
        parameters=960,
        multiply_adds=1234,
        test_accuracy=None,
        **vars(records.provenance(FP32)),
    )


def extended(record, *accuracies):
    for number, accuracy in enumerate(accuracies, start=1):
        record = records.extend(record, epoch(number, accuracy))
    return record


# ------------------------------------------------------------------------------------ content


def test_a_finished_record_has_the_accuracy_of_its_last_epoch(begun):
    """Not of its best: that was chosen by looking at the test images."""
    record = extended(begun, 50.0, 70.0, 60.0)
    assert record.finished
    assert record.test_accuracy == 60.0
    assert record.best_epoch_on_test == 2


def test_an_unfinished_record_has_no_test_accuracy(begun):
    record = extended(begun, 50.0, 70.0)
    assert not record.finished
    assert record.test_accuracy is None


def test_a_record_that_was_tested_once_names_no_best_epoch(begun):
    record = extended(begun, None, None, 60.0)
    assert record.test_accuracy == 60.0
    assert record.best_epoch_on_test is None


def test_what_was_scored_on_validation_images_is_no_test_accuracy(begun):
    """Choosing by it is allowed, and reporting it as a result is not."""
    record = extended(dataclasses.replace(begun, scored_on="validation"), 50.0, 70.0, 60.0)
    assert record.test_accuracy is None
    assert record.best_epoch_on_test is None
    assert record.validation_accuracy == 60.0
    assert record.accuracy == 60.0


def test_seconds_are_summed_apart_and_the_load_is_averaged(begun):
    record = begun
    for number, (seconds, load) in enumerate([(10, 1.0), (20, 2.0), (30, 6.0)], start=1):
        record = records.extend(record, epoch(number, seconds=seconds, load=load))
    assert record.seconds == {"training": 60, "evaluation": 3}
    assert record.load == 3.0
    assert [e.number for e in record.history] == [1, 2, 3]


def test_extending_leaves_the_record_before_as_it_was(begun):
    records.extend(begun, epoch(1))
    assert begun.history == []


def test_a_record_is_named_after_its_recipe_and_seed(begun):
    assert begun.name == "tiny-seed4"


def test_a_record_says_which_code_ran_where(begun):
    assert set(begun.versions) == {"python", "torch", "torchvision", "albumentations", "numpy"}
    assert begun.versions["torch"].partition("+")[0] == torch.__version__.partition("+")[0]
    assert begun.precision == "fp32" and begun.memory_format == "channels_last"
    assert f"{os.cpu_count()} cores" in begun.processor
    assert begun.threads == torch.get_num_threads()


def test_the_processor_of_a_run_on_a_gpu_is_the_gpu(monkeypatch):
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: f"Tesla T4 as {device}")
    on_gpu = Numerics("cuda:1", "fp16", "channels_last")
    assert records.processor(on_gpu) == "Tesla T4 as cuda:1"


# --------------------------------------------------------------------------------- round trip


@pytest.mark.parametrize("accuracies", [(), (50.0,), (50.0, None, 60.0)])
def test_a_record_comes_back_from_its_file_as_it_went(begun, tmp_path, accuracies):
    earlier = [Session(**vars(records.provenance(FP32)), epochs=1)]
    record = dataclasses.replace(extended(begun, *accuracies), earlier_sessions=earlier)
    records.save(record, tmp_path / "record.json")
    assert records.load(tmp_path / "record.json") == record
    assert records.load(tmp_path) == record, "a run's folder is as good as its record"
    assert records.load(str(tmp_path)) == record


def test_the_file_holds_the_recipe_in_full_with_its_name(begun, tmp_path):
    records.save(begun, tmp_path / "record.json")
    fields = json.loads((tmp_path / "record.json").read_text())
    assert fields["recipe"]["name"] == "tiny"
    assert set(fields["recipe"]) == {field.name for field in dataclasses.fields(recipes.Recipe)}


def test_a_record_of_an_earlier_version_can_be_read(begun, tmp_path):
    """What later versions added has a default; a run of two hours is not thrown away for it."""
    path = tmp_path / "record.json"
    records.save(extended(begun, 50.0), path)
    fields = json.loads(path.read_text())
    for later in ("scored_on", "validation_accuracy"):
        del fields[later]
    path.write_text(json.dumps(fields))
    assert records.load(path) == extended(begun, 50.0)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "no JSON",
        "[1, 2]",
        "null",
        "{}",
        '{"recipe": {}, "history": []}',
        '{"recipe": null, "history": []}',
        '{"name": "another program", "epochs": 3}',
        "\udcff",
    ],
)
def test_a_file_that_is_no_record_is_refused_by_its_path(tmp_path, text):
    path = tmp_path / "record.json"
    path.write_text(text, errors="surrogateescape")
    with pytest.raises(ValueError, match=r"record\.json is not a record of this version"):
        records.load(path)


@pytest.mark.parametrize(
    ("name", "value"),
    [("recipe", {"network": "gone"}), ("history", ["x"]), ("history", [{}]), ("surprise", 1)],
)
def test_a_record_with_a_field_that_means_nothing_here_is_refused(begun, tmp_path, name, value):
    path = tmp_path / "record.json"
    records.save(extended(begun, 50.0), path)
    fields = json.loads(path.read_text())
    fields[name] = {**fields["recipe"], **value} if name == "recipe" else value
    path.write_text(json.dumps(fields))
    with pytest.raises(ValueError, match="is not a record of this version"):
        records.load(path)


# ---------------------------------------------------------------------------- finding records


@pytest.fixture
def shipped(monkeypatch, tmp_path):
    """An empty folder in the place of the one that ships with the package."""
    folder = tmp_path / "shipped"
    folder.mkdir()
    monkeypatch.setattr(records, "SHIPPED", folder)
    return folder


def test_the_shipped_records_are_found_by_name(begun, shipped):
    for name in ("one-seed0", "other-seed1"):
        records.save(begun, shipped / f"{name}.json")
    (shipped / "original.csv").write_text("")
    assert records.names() == ["one-seed0", "other-seed1"]
    assert records.load("one-seed0") == begun


def test_an_unknown_name_is_answered_with_the_known_ones(begun, shipped):
    records.save(begun, shipped / "one-seed0.json")
    with pytest.raises(ValueError, match=r"no record 'two-seed0'.*one-seed0"):
        records.load("two-seed0")


def test_every_shipped_record_can_be_read_and_is_called_by_its_name():
    for name in records.names():
        assert records.load(name).name == name


# Shipped records of a recipe that has changed since: their names, and what has changed.
OLDER: dict[str, str] = {}


@pytest.mark.parametrize("name", records.names())
def test_a_shipped_record_is_of_today_s_recipe_or_is_said_to_be_older(name):
    recipe = records.load(name).recipe
    assert (recipe != recipes.get(recipe.name)) == (name in OLDER)


@pytest.mark.parametrize("name", records.names())
def test_a_shipped_record_has_the_size_of_its_network(name):
    record = records.load(name)
    network = record.recipe.create_network()
    assert record.parameters == model.count_parameters(network)
    assert record.multiply_adds == model.count_multiply_adds(network)


def test_the_running_example_has_the_size_that_the_lessons_work_out():
    record = records.load("baseline-seed0")
    assert (record.parameters, record.multiply_adds) == (163_744, 165_610_112)


def test_every_shipped_record_that_is_finished_has_its_weights():
    for name in records.names():
        record = records.load(name)
        if record.finished:
            assert model.count_parameters(records.load_network(name)) == record.parameters


@pytest.mark.parametrize("name", records.names())
def test_the_shipped_log_probabilities_are_the_network_s_and_give_its_accuracy(name, cifar10):
    """Lessons read them for 10,000 images in place of a minute of the network."""
    kept, record = records.log_probabilities(name), records.load(name)
    labels = torch.from_numpy(cifar10[1].labels)
    accuracy = 100 * (kept.argmax(dim=1) == labels).float().mean().item()
    assert abs(accuracy - record.accuracy) <= 0.1  # ten images, which other roundings turn
    plain = data.pipeline(mean=record.recipe.mean, std=record.recipe.std)
    few = data.batches(cifar10[1].take(range(20)), plain, 20)
    fresh, _ = engine.predict(records.load_network(name), few, FP32)
    torch.testing.assert_close(kept[:20], fresh, atol=0.05, rtol=0.01)


def test_a_run_of_one_s_own_keeps_no_log_probabilities(begun, tmp_path):
    records.save(begun, tmp_path / "record.json")
    with pytest.raises(ValueError, match="only the shipped records keep them"):
        records.log_probabilities(tmp_path)


def test_the_history_of_2023_is_whole():
    """30 epochs; its best on the test images was its last, 87.04 %; 81.40 % in training."""
    history = records.original()
    assert len(history) == 30
    assert history[0] == (35.72, 45.37)
    assert max(test for _, test in history) == history[-1][1] == 87.04
    assert history[-1][0] == 81.40


# ------------------------------------------------------------------------------------ weights


@pytest.fixture
def saved(begun, tmp_path):
    """A record and the weights of a network that has learnt something, in a run's folder."""
    torch.manual_seed(0)
    network = Tiny()
    for _ in range(3):
        network(torch.randn(8, 3, 32, 32) * 3 + 1)  # batch norm keeps statistics of these
    records.save(extended(begun, 50.0, 70.0, 60.0), tmp_path / "record.json")
    records.save_weights(network, tmp_path / "record.safetensors")
    return tmp_path, network


def test_weights_come_back_to_the_last_bit(saved):
    """Rounded to fp16, those of `baseline` got ten test images more wrong."""
    folder, network = saved
    loaded = records.load_network(folder)
    for (name, theirs), ours in zip(
        loaded.state_dict().items(), network.state_dict().values(), strict=True
    ):
        assert theirs.dtype == ours.dtype
        assert torch.equal(theirs, ours), name


def test_a_loaded_network_is_ready_to_use(saved):
    """In eval mode, on the CPU, and it answers as the one that was saved."""
    folder, network = saved
    loaded = records.load_network(folder)
    images = torch.randn(4, 3, 32, 32)
    assert not any(part.training for part in loaded.modules())
    with torch.no_grad():
        assert torch.equal(loaded(images), network.eval()(images))


@pytest.mark.parametrize("memory_format", MEMORY_FORMATS)
def test_weights_are_saved_alike_whatever_their_order_in_memory(begun, tmp_path, memory_format):
    torch.manual_seed(0)
    network = Numerics("cpu", "fp32", memory_format).place(Tiny())
    records.save(begun, tmp_path / "record.json")
    records.save_weights(network, tmp_path / "record.safetensors")
    loaded = records.load_network(tmp_path)
    assert torch.equal(loaded[1][0].weight, network[1][0].weight)


def damage(path, how):
    content = path.read_bytes()
    tensors = load_file(path)
    if how == "missing":
        path.unlink()
    elif how == "empty":
        path.write_bytes(b"")
    elif how == "truncated":
        path.write_bytes(content[:-10])
    elif how == "no safetensors":
        path.write_bytes(b"x" * 1000)
    elif how == "a tensor less":
        tensors.popitem()
        save_file(tensors, path)
    elif how == "another network":
        save_file({name: value[:1] for name, value in tensors.items() if value.dim()}, path)


@pytest.mark.parametrize(
    "how",
    ["missing", "empty", "truncated", "no safetensors", "a tensor less", "another network"],
)
def test_damaged_weights_are_refused_by_their_path(saved, how):
    folder, _ = saved
    path = folder / "record.safetensors"
    damage(path, how)
    with pytest.raises(ValueError) as caught:
        records.load_network(folder)
    assert f"{path} does not hold the weights of tiny-seed4" in str(caught.value)


def test_a_full_disk_is_an_os_error_and_the_old_weights_stay(saved):
    """safetensors has an error of its own for it."""
    folder, network = saved
    path = folder / "record.safetensors"
    before = path.read_bytes()
    with full_disk(500), pytest.raises(OSError, match="File too large"):
        records.save_weights(network, path)
    assert path.read_bytes() == before


# ------------------------------------------------------------------------------------- commit


@pytest.fixture
def git(monkeypatch, tmp_path):
    """A repository of a test's own; a hook that runs the tests may point git elsewhere."""
    for name in [name for name in os.environ if name.startswith("GIT_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path))
    folder = tmp_path / "project"
    folder.mkdir()

    def run(*arguments):
        who = ["-c", "user.name=Someone", "-c", "user.email=someone@example.org"]
        return subprocess.run(
            ["git", *who, *arguments], cwd=folder, check=True, capture_output=True, text=True
        ).stdout.strip()

    run("init", "--quiet")
    (folder / "README.md").write_text("A project\n")
    run("add", "README.md")
    run("commit", "--quiet", "-m", "Begin")
    run.folder = folder
    return run


def install(git, monkeypatch, where):
    """A copy of the records' folder in the project, as pip or a clone would put it there."""
    folder = git.folder / where / "cifarlab" / "records"
    folder.mkdir(parents=True)
    (folder / "__init__.py").write_text('"""Records."""\n')
    monkeypatch.setattr(records, "PACKAGE", folder)
    return folder


def test_the_commit_of_a_checkout_is_the_whole_hash(git, monkeypatch):
    install(git, monkeypatch, ".")
    git("add", ".")
    git("commit", "--quiet", "-m", "Add the package")
    assert records.commit() == git("rev-parse", "HEAD")
    git("tag", "v1.0")
    assert records.commit() == git("rev-parse", "HEAD"), "a tag may be moved"


def test_a_checkout_with_changes_is_marked(git, monkeypatch):
    folder = install(git, monkeypatch, ".")
    git("add", ".")
    git("commit", "--quiet", "-m", "Add the package")
    (folder / "__init__.py").write_text('"""Changed."""\n')
    assert records.commit() == git("rev-parse", "HEAD") + "-dirty"


@pytest.mark.parametrize("ignored", [True, False])
def test_the_commit_of_another_project_is_not_ours(git, monkeypatch, ignored):
    """Installed into a virtual environment inside it, we stand in its repository as guests."""
    install(git, monkeypatch, ".venv/lib/python3.12/site-packages")
    if ignored:
        (git.folder / ".gitignore").write_text(".venv/\n")
    assert records.commit() == "unknown"


def test_outside_a_repository_the_commit_is_unknown(git, monkeypatch, tmp_path):
    folder = tmp_path / "nowhere"
    folder.mkdir()
    monkeypatch.setattr(records, "PACKAGE", folder)
    assert records.commit() == "unknown"


def test_without_git_the_commit_is_unknown(git, monkeypatch):
    install(git, monkeypatch, ".")
    monkeypatch.setenv("PATH", "")
    assert records.commit() == "unknown"


# -------------------------------------------------------------------------------- benchmarks


def test_the_shipped_benchmark_names_its_machine_and_has_an_undilated_row_for_every_layer():
    """The lesson divides by that row."""
    found = records.benchmark("dilation")
    assert found["processor"] and found["load"] >= 0
    rows = found["rows"]
    plain = [row["layer"] for row in rows if (row["form"], row["dilation"]) == ("plain", 1)]
    assert sorted(plain) == sorted({row["layer"] for row in rows})
    assert all(row["forward_ms"] > 0 and row["step_ms"] > 0 for row in rows)


def test_an_unknown_benchmark_is_answered_with_those_there_are():
    with pytest.raises(ValueError, match=r"'speed'.*dilation"):
        records.benchmark("speed")


def test_a_benchmark_says_where_and_when_it_was_measured_and_is_no_record_of_a_run():
    measured = records.benchmark("separable")
    assert {"date", "load", "processor", "threads", "versions"} <= measured.keys()
    assert "separable" not in records.names()


def test_the_ranks_end_with_the_network_as_it_is_and_keep_more_and_more():
    """The lesson prints the ranks 1 to 9 of both orders."""
    found = records.benchmark("rank")
    for order in found["orders"].values():
        assert len(order["right"]) == len(order["squares_kept"]) == 9
        assert order["squares_kept"] == sorted(order["squares_kept"])
        assert order["accuracy"] == [100 * right / found["count"] for right in order["right"]]
        assert order["accuracy"][-1] == found["accuracy_uncut"]


def test_the_kernels_of_the_rank_slider_are_the_network_s():
    """Rank 9 leaves them as they were trained; rank 1 makes them multiples of one."""
    kernels = torch.tensor(records.benchmark("rank")["kernels"])
    layers = records.load_network("baseline-seed0").modules()
    first = next(
        each for each in layers if isinstance(each, torch.nn.Conv2d) and each.in_channels > 3
    )
    trained = first.weight[: kernels.shape[1], 0].flatten(1)
    torch.testing.assert_close(kernels[8], trained.detach(), atol=6e-4, rtol=0)
    assert torch.linalg.svdvals(kernels[0])[1] < 5e-3 < torch.linalg.svdvals(kernels[1])[1]


def test_a_record_without_loads_is_json_that_other_readers_take(begun, tmp_path):
    """Windows has no load average; JSON has no NaN."""
    record = records.extend(begun, epoch(1, load=None))
    assert record.load is None
    records.save(record, tmp_path / "record.json")

    def refuse(constant):
        raise AssertionError(constant)

    json.loads((tmp_path / "record.json").read_text(), parse_constant=refuse)
    assert records.load(tmp_path) == record
    assert records.extend(record, epoch(2, load=3.0)).load == 3.0


@pytest.mark.parametrize("name", ["a" * 300, "../spread", "", None])
def test_a_summary_that_does_not_ship_is_answered_with_those_that_do(name):
    with pytest.raises(ValueError, match=r"no experiment .*; there are: .*spread"):
        records.experiment(name)
