"""Protects the commands behind `make`: what they install, publish and refuse."""

import subprocess
import tomllib
from dataclasses import replace
from pathlib import Path

import nbformat
import pytest
import torch
import yaml
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from cifarlab import cli, data, engine, records, runs
from cifarlab_course.artefacts import publish
from cifarlab_course.lessons import validate

ROOT = Path(__file__).parent.parent


# ---------------------------------------------------------------------------------- installing


def test_building_the_book_installs_no_pytorch():
    """`make book` installs this group alone, and the package without what it needs."""
    text = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    asked = text["dependency-groups"]["book"]
    assert any(requirement.startswith("jupyter-book>=1") for requirement in asked)
    assert not any("torch" in requirement for requirement in asked)


# ----------------------------------------------------------------------------------- publish


@pytest.fixture
def few_shapes(monkeypatch):
    """A tenth of the synthetic images; they also pass for CIFAR-10, whose runs are published."""
    synthetic = data.synthetic
    monkeypatch.setattr(data, "synthetic", lambda count, seed: synthetic(count // 10, seed))
    monkeypatch.setattr(data, "load", lambda: runs.splits(synthetic=True))


@pytest.fixture
def run(tiny, few_shapes, tmp_path):
    """A finished run of the tiny recipe."""
    folder = tmp_path / "run"
    arguments = ["train", "tiny", "--data", "synthetic", "--epochs", "1", "--out", str(folder)]
    assert cli.main(arguments) == 0
    return folder


def test_a_published_run_can_be_loaded_by_its_name(run, tmp_path, monkeypatch):
    monkeypatch.setattr(records, "SHIPPED", tmp_path / "shipped")
    records.save(replace(records.load(run), data="CIFAR-10: all"), run / "record.json")
    publish.publish(run)
    assert records.names() == ["tiny-seed0"]
    assert records.load("tiny-seed0") == records.load(run)
    shipped, trained = records.load_network("tiny-seed0"), records.load_network(run)
    for name, weights in trained.state_dict().items():
        assert torch.equal(weights, shipped.state_dict()[name]), name
    _, test = runs.splits()
    recipe = records.load(run).recipe
    plain = data.pipeline(mean=recipe.mean, std=recipe.std)
    answers, _ = engine.predict(trained, data.batches(test, plain))
    torch.testing.assert_close(records.log_probabilities("tiny-seed0"), answers, atol=0.02, rtol=0)


def stop(*_):
    raise KeyboardInterrupt


@pytest.mark.slow
@pytest.mark.parametrize("stopped", [False, True])
@pytest.mark.parametrize(
    "changes", [{}, {"ema_decay": 0.7}, {"ema_decay": 0.7, "remeasure_norms": "true"}]
)
def test_a_published_network_scores_what_its_record_says(
    tiny, few_shapes, tmp_path, monkeypatch, changes, stopped
):
    """Where weights are averaged, the average is the result, of an unfinished run too."""
    monkeypatch.setattr(records, "SHIPPED", tmp_path / "shipped")
    if stopped:
        monkeypatch.setattr(cli, "describe", stop)  # what is told after an epoch is saved
    words = [f"--change={name}={value}" for name, value in changes.items()]
    words += ["--change=test_every_epoch=true", "--data=synthetic", f"--out={tmp_path / 'run'}"]
    assert cli.main(["train", "tiny", *words]) == (130 if stopped else 0)
    record = records.load(tmp_path / "run")
    assert len(record.history) == (1 if stopped else 3)
    records.save(replace(record, data="CIFAR-10: all"), tmp_path / "run" / "record.json")
    publish.publish(tmp_path / "run")
    _, held_out = runs.splits(synthetic=True)
    plain = data.pipeline(mean=record.recipe.mean, std=record.recipe.std)
    score = engine.evaluate(records.load_network("tiny-seed0"), data.batches(held_out, plain))
    assert score.loss == pytest.approx(record.history[-1].held_out.loss, rel=1e-4)


def test_where_the_images_are_not_to_be_had_nothing_is_published(run, tmp_path, monkeypatch):
    """Rather than new weights beside the answers of old ones."""
    monkeypatch.setattr(records, "SHIPPED", tmp_path / "shipped")
    records.save(replace(records.load(run), data="CIFAR-10: all"), run / "record.json")

    def unreachable():
        raise OSError("no CIFAR-10 here")

    monkeypatch.setattr(data, "load", unreachable)
    with pytest.raises(OSError, match="no CIFAR-10 here"):
        publish.publish(run)
    assert not (tmp_path / "shipped").exists()


def test_a_run_whose_record_and_checkpoint_disagree_is_not_published(run, tmp_path, monkeypatch):
    monkeypatch.setattr(records, "SHIPPED", tmp_path / "shipped")
    empty = replace(records.load(run), data="CIFAR-10: all", history=[])
    records.save(empty, run / "record.json")
    with pytest.raises(ValueError, match="being written"):
        publish.publish(run)
    assert not (tmp_path / "shipped").exists()


@pytest.mark.parametrize(
    ("changes", "fault"),
    [({"scored_on": "validation"}, "validation images"), ({"data": "shapes"}, "not CIFAR-10")],
)
def test_only_runs_scored_on_the_test_images_of_cifar_10_are_published(
    run, tmp_path, monkeypatch, changes, fault
):
    monkeypatch.setattr(records, "SHIPPED", tmp_path / "shipped")
    records.save(
        replace(records.load(run), **{"data": "CIFAR-10: all", **changes}), run / "record.json"
    )
    with pytest.raises(ValueError, match=fault):
        publish.publish(run)


# -------------------------------------------------------------------------------- one address


def test_the_repository_address_stands_nowhere_else_than_where_it_is_checked():
    """_config.yml has it; notebooks' first cells are compared with it; the others are here."""
    repository = yaml.safe_load((ROOT / "_config.yml").read_text())["repository"]
    readme = (ROOT / "README.md").read_text()
    assert f"git+{repository['url']}@{repository['branch']}" in readme
    assert f"git clone {repository['url']} " in readme
    page = (ROOT / "book" / "how-to-study.md").read_text()
    assert f"git clone {repository['url']} " in page
    urls = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["urls"]
    assert urls["Source"] == repository["url"]
    path = f"/blob/{repository['branch']}/book/changelog.md"
    assert urls["Changelog"] == repository["url"] + path
    listed = subprocess.run(
        ["git", "grep", "-l", repository["url"]], cwd=ROOT, capture_output=True, text=True
    ).stdout.split()
    allowed = {"_config.yml", "README.md", "pyproject.toml", "book/how-to-study.md"}
    assert [name for name in listed if name not in allowed and not name.endswith(".ipynb")] == []


# ---------------------------------------------------------------------------------- validate


def test_a_lesson_run_twice_has_all_its_cells_twice_in_order_under_names_of_their_own():
    once = new_notebook(cells=[new_markdown_cell("# Title"), new_code_cell("print(1)")])
    doubled = validate.twice(once)
    nbformat.validate(doubled)
    assert [cell.source for cell in doubled.cells] == ["# Title", "print(1)"] * 2
    assert len({cell.id for cell in doubled.cells}) == 4
    assert len(once.cells) == 2


@pytest.fixture
def outcomes(monkeypatch):
    """What the next calls of pytest come to, in turn: passed, failed, or cut off."""
    ahead = []

    def passes(*_):
        if (outcome := ahead.pop(0)) is None:
            raise KeyboardInterrupt
        return outcome, 0.5

    monkeypatch.setattr(validate, "passes", passes)
    monkeypatch.delenv("CIFARLAB_DATA", raising=False)
    monkeypatch.setenv("CIFARLAB_REQUIRE_DATA", "")  # put back after the test
    return ahead


def test_a_validation_says_what_passed_and_what_failed(outcomes, tmp_path):
    count = len(validate.LESSONS)
    outcomes += [True] * (count - 1) + [False]
    assert validate.validate(mode="CPU, one thread", folder=tmp_path) == 1
    (report,) = tmp_path.iterdir()
    text = report.read_text(encoding="utf-8")
    assert f"{count - 1} of {count} checks passed" in text and "cut off" not in text
    assert text.count("| passed |") == count - 1 and text.count("| **failed** |") == 1


def test_a_validation_that_is_cut_off_leaves_a_report_that_says_so(outcomes, tmp_path):
    outcomes += [True, True, None]
    with pytest.raises(KeyboardInterrupt):
        validate.validate(mode="CPU, one thread", folder=tmp_path)
    (report,) = tmp_path.iterdir()
    text = report.read_text(encoding="utf-8")
    assert "2 of 2 checks passed" in text and "cut off before its last check" in text


@pytest.mark.slow
def test_a_part_is_no_whole_report_and_midnight_does_not_cut_one_in_two(
    outcomes, tmp_path, monkeypatch
):
    class Clock:
        UTC = validate.datetime.UTC
        days = iter(range(1, 29))

        class datetime:
            @staticmethod
            def now(_):
                return validate_datetime(2026, 1, next(Clock.days))

    validate_datetime = validate.datetime.datetime
    monkeypatch.setattr(validate, "datetime", Clock)
    for mode in ("CPU, one thread", "CPU"):
        outcomes += [True] * len(validate.LESSONS) * (1 if "one" in mode else 4)
        assert validate.validate(mode=mode, folder=tmp_path) == 0
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == ["2026-01-01-cpu-cpu-one-thread.md", "2026-01-02-cpu-cpu.md"]
    assert (tmp_path / names[0]).read_text().splitlines()[0].endswith(": CPU, one thread")


@pytest.mark.parametrize(
    ("asked", "known"), [({"mode": "TPU"}, "CPU, fp32, NCHW"), ({"only": "03"}, "03-receptive")]
)
def test_a_validation_in_no_mode_or_of_no_lesson_is_refused(asked, known, tmp_path):
    with pytest.raises(ValueError, match=known):
        validate.validate(**asked, folder=tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.long
def test_odd_places_find_what_they_are_there_to_find(tmp_path):
    """A cell that may run once only; a module that lies in the repository alone."""
    home, options = tmp_path / "Vérité, 真", ["--nbval", "--nbval-current-env"]
    home.mkdir()
    environment = validate.install(tmp_path / "installed")
    results = {}
    for name, source in {
        "sound": "from cifarlab import model\nint('skipnet' in model.names())",
        "once only": "try:\n    seen += 1\nexcept NameError:\n    seen = 1\nseen",
        "of the repository": "import pathlib\npathlib.Path('../lessons').exists()",
    }.items():
        cell = new_code_cell(source, execution_count=1)
        path = tmp_path / "repository" / "lessons" / f"{name}.ipynb"
        path.parent.mkdir(parents=True, exist_ok=True)
        value = "True" if name == "of the repository" else "1"
        cell.outputs = [new_output("execute_result", {"text/plain": value}, execution_count=1)]
        nbformat.write(new_notebook(cells=[cell]), path)
        rows = validate.places(path, options, home, environment)
        results[name] = [passed for _, _, passed, _ in rows]
    assert results == {
        "sound": [True, True, True],
        "once only": [True, True, False],
        "of the repository": [True, False, False],
    }
