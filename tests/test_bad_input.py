"""Whatever is given for an argument, it is taken as documented or refused by its name."""

import math
import re
import traceback
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cifarlab import (
    cli,
    data,
    diagnostics,
    engine,
    model,
    numerics,
    receptive_field,
    recipes,
    records,
)
from tests.helpers import FP32, Tiny

# ------------------------------------------------------------------------------------- anything


def array(shape, dtype):
    return np.zeros(shape, dtype)


DTYPES = ["uint8", "int64", "float32", "float64", "bool"]
SHAPES = [(), (0,), (2,), (3,), (2, 3), (2, 4, 4, 3), (2, 3, 4, 4), (0, 4, 4, 3), (1, 3, 4, 4, 1)]
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-3, 3),
    st.sampled_from([-(10**30), -(2**63), 2**31, 2**64, 10**30]),
    st.floats(-2, 2),
    st.sampled_from([math.nan, math.inf, -math.inf, 1e-300, -0.0, 1e308]),
    st.text(max_size=8),
    st.sampled_from(
        ["cpu", "skipnet", "none", "zeros", "ü", "日本", "a" * 5_000, "a\nb", "../nowhere", "1"]
    ),
    st.binary(max_size=4),
    st.sampled_from([np.float32(0.5), np.int64(1), 1j, object(), Tiny, len]),
)
ANYTHING = st.one_of(
    SCALARS,
    st.lists(SCALARS, max_size=4),
    st.tuples(SCALARS, SCALARS),
    st.tuples(SCALARS, SCALARS, SCALARS),
    st.dictionaries(st.text(max_size=2), SCALARS, max_size=2),
    st.builds(array, st.sampled_from(SHAPES), st.sampled_from(DTYPES)),
    st.builds(array, st.sampled_from(SHAPES), st.sampled_from(DTYPES)).map(torch.from_numpy),
)


def is_whole(low, high=math.inf):
    def fits(value):
        whole = isinstance(value, int | np.integer) and not isinstance(value, bool)
        return whole and low <= value <= high

    return fits


def is_number(low, high):
    def fits(value):
        real = isinstance(value, int | float | np.floating | np.integer)
        return real and not isinstance(value, bool) and low <= value <= high

    return fits


def is_row(length, fits):
    def row_fits(values):
        if isinstance(values, np.ndarray | torch.Tensor):
            values = values.tolist()
        return isinstance(values, tuple | list) and len(values) == length and all(map(fits, values))

    return row_fits


def is_one_of(*words):
    return lambda value: isinstance(value, str) and value in words


def is_array(kind, dtype, *shape):
    """`shape` holds lengths, or None for any above 0."""

    def fits(value):
        return (
            isinstance(value, kind)
            and str(value.dtype).removeprefix("torch.") == dtype
            and len(value.shape) == len(shape)
            and all(
                length == given if length else given
                for length, given in zip(shape, value.shape, strict=True)
            )
        )

    return fits


def nothing(value):
    return False


def is_list(fits):
    return lambda value: isinstance(value, tuple | list) and fits(value)


def or_none(fits):
    return lambda value: value is None or fits(value)


# ----------------------------------------------------------------------------------- what to call

SPLIT = data.synthetic(20)
LOGITS, LABELS = torch.zeros(2, 3).log_softmax(1), torch.tensor([0, 2])
FIELD = receptive_field.analyze(torch.nn.Conv2d(3, 4, 3), (8, 8)).output
RECIPE = {"name": "r", "network": "skipnet", "epochs": 1, "batch_size": 4}
RECIPE |= {"peak_learning_rate": 0.1}


def split(**changes):
    return data.Split(
        **{
            "images": np.zeros((2, 4, 4, 3), np.uint8),
            "labels": np.array([0, 1]),
            "classes": ("a", "b"),
            "source": "zeros",
            **changes,
        }
    )


def recipe(**changes):
    return recipes.Recipe(**{**RECIPE, **changes})


def fit(**changes):
    arguments = {"network": Tiny(), "train": SPLIT, "held_out": SPLIT, "numerics": FP32}
    arguments |= {"recipe": recipe(network="skipnet"), **changes}
    run = engine.fit(**arguments)
    next(run)
    run.close()


def sweep(**changes):
    arguments = {"network": Tiny(), "train": SPLIT, "numerics": FP32, "steps": 3}
    engine.find_learning_rate(**{**arguments, "recipe": recipe(), **changes})


CASES = {
    # What to call, the argument to vary, and which values are right; the others are all good.
    "Split images": (split, "images", is_array(np.ndarray, "uint8", 2, None, None, 3)),
    "Split labels": (split, "labels", is_array(np.ndarray, "int64", 2)),
    "take": (SPLIT.take, "indices", None),
    "split_validation train": (data.split_validation, "train", nothing),
    "split_validation": (
        lambda per_class: data.split_validation(SPLIT, per_class),
        "per_class",
        is_whole(1, 1),
    ),
    "statistics": (data.statistics, "images", is_array(np.ndarray, "uint8", None, None, None, 3)),
    "affine translate": (data.affine, "translate", is_whole(0, 10_000)),
    "affine scale": (data.affine, "scale", is_number(0, 0.99)),
    "affine rotate": (data.affine, "rotate", is_number(0, 180)),
    "affine shear": (data.affine, "shear", is_number(0, 89)),
    "affine p": (data.affine, "p", is_number(0, 1)),
    "crop size": (data.crop, "size", is_whole(1, 10_000)),
    "crop margin": (data.crop, "margin", is_whole(0, 10_000)),
    "cutout size": (data.cutout, "size", is_whole(1, 10_000)),
    "cutout fill": (data.cutout, "fill", is_row(3, is_number(0, 255))),
    "cutout p": (data.cutout, "p", is_number(0, 1)),
    "pipeline": (data.pipeline, "augmentation", is_one_of(*data.AUGMENTATIONS)),
    "pipeline mean": (data.pipeline, "mean", is_row(3, is_number(0, 1))),
    "pipeline std": (data.pipeline, "std", is_row(3, is_number(1e-6, 1))),
    "denormalize": (data.denormalize, "images", is_array(torch.Tensor, "float32", 2, 3, 4, 4)),
    "reseed": (
        lambda numbers: data.reseed(data.pipeline("flip"), numbers),
        "numbers",
        is_whole(0),
    ),
    "batches split": (data.batches, "split", nothing),
    **{
        f"batches {name}": (lambda **given: next(iter(data.batches(SPLIT, **given))), name, fits)
        for name, fits in [
            ("transform", lambda value: value is None),
            ("batch_size", is_whole(1)),
            ("seed", is_whole(0)),
            ("epoch", is_whole(0)),
        ]
    },
    # As in the tests of its own, without starting processes.
    "batches workers": (
        lambda workers: data.batches(SPLIT, workers=workers),
        "workers",
        is_whole(0, 64),
    ),
    "synthetic count": (data.synthetic, "count", is_whole(1, 1_000_000)),
    "synthetic seed": (lambda seed: data.synthetic(2, seed), "seed", is_whole(0)),
    "create": (model.create, "name", is_one_of("skipnet")),
    "SkipNet classes": (model.SkipNet, "classes", is_whole(1, 1_000_000)),
    **{
        f"{block.__name__} {name}": (
            lambda block=block, **given: block(**{"in_channels": 2, "out_channels": 3, **given}),
            name,
            fits,
        )
        for block in (model.ConvBlock, model.DepthwiseSeparableConv, model.SkipBlock)
        for name, fits in [
            ("in_channels", is_whole(1, 1_000_000)),
            ("out_channels", is_whole(1, 1_000_000)),
            ("dropout", is_number(0, 1)),
            ("padding_mode", is_one_of(*model.PADDING_MODES)),
        ]
    },
    "DilatedConv": (
        lambda dilation: model.DilatedConv(2, 2, dilation=dilation),
        "dilation",
        is_whole(1, 10_000),
    ),
    "count_parameters": (model.count_parameters, "network", nothing),
    "count_multiply_adds": (model.count_multiply_adds, "network", nothing),
    "count_multiply_adds size": (
        lambda size: model.count_multiply_adds(torch.nn.Conv2d(3, 4, 1), size),
        "size",
        is_row(2, is_whole(1, 10_000)),
    ),
    "get": (lambda name: recipes.get(name), "name", is_one_of("baseline")),
    "Recipe network": (recipe, "network", is_one_of("skipnet")),
    "Recipe augmentation": (recipe, "augmentation", is_one_of(*data.AUGMENTATIONS)),
    "Recipe mixing": (recipe, "mixing", is_one_of("none", *engine.MIXINGS)),
    "Recipe anneal": (recipe, "anneal", is_one_of("cos", "linear", "steps")),
    "Recipe name": (
        recipe,
        "name",
        lambda value: isinstance(value, str) and bool(re.fullmatch(r"[\w.-]{1,100}", value)),
    ),
    "Recipe nesterov": (recipe, "nesterov", lambda value: isinstance(value, bool)),
    "Recipe cycle_momentum": (recipe, "cycle_momentum", lambda value: isinstance(value, bool)),
    "Recipe epochs": (recipe, "epochs", is_whole(1, 100_000)),
    "Recipe peak_learning_rate": (recipe, "peak_learning_rate", is_number(0, 1e6)),
    "Recipe ema_decay": (
        recipe,
        "ema_decay",
        or_none(lambda value: isinstance(value, float) and 0 < value < 1),
    ),
    "Recipe mean": (recipe, "mean", is_row(3, is_number(0, 1))),
    "Recipe std": (recipe, "std", is_row(3, is_number(1e-6, 1))),
    "numerics device": (numerics.fastest, "device", or_none(is_one_of("", "cpu"))),
    "numerics precision": (
        lambda precision: numerics.fastest("cpu", precision),
        "precision",
        or_none(is_one_of("", *numerics.PRECISIONS)),
    ),
    "numerics memory_format": (
        lambda memory_format: numerics.fastest("cpu", "fp32", memory_format),
        "memory_format",
        or_none(is_one_of("", *numerics.MEMORY_FORMATS)),
    ),
    "predict": (lambda network: engine.predict(network, []), "network", nothing),
    "score": (
        lambda log_probabilities: engine.score(log_probabilities, torch.tensor([0, 2])),
        "log_probabilities",
        is_array(torch.Tensor, "float32", 2, 3),
    ),
    "score labels": (
        lambda labels: engine.score(torch.zeros(2, 3), labels),
        "labels",
        is_array(torch.Tensor, "int64", 2),
    ),
    "mistakes": (
        lambda labels: diagnostics.mistakes(torch.zeros(2, 3), labels),
        "labels",
        is_array(torch.Tensor, "int64", 2),
    ),
    "calibration": (
        lambda log_probabilities: diagnostics.calibration(log_probabilities, torch.tensor([0, 2])),
        "log_probabilities",
        is_array(torch.Tensor, "float32", 2, 3),
    ),
    "calibration bins": (
        lambda bins: diagnostics.calibration(torch.zeros(2, 3), torch.tensor([0, 2]), bins),
        "bins",
        is_whole(1, 10_000),
    ),
    "class_activation_maps": (
        lambda network: diagnostics.class_activation_maps(network, torch.zeros(1, 3, 4, 4)),
        "network",
        nothing,
    ),
    "class_activation_maps images": (
        lambda images: diagnostics.class_activation_maps(model.create("skipnet"), images),
        "images",
        is_array(torch.Tensor, "float32", None, 3, None, None),
    ),
    "confusion": (
        lambda log_probabilities: diagnostics.confusion(log_probabilities, torch.tensor([0, 2])),
        "log_probabilities",
        is_array(torch.Tensor, "float32", 2, 3),
    ),
    "fit network": (fit, "network", nothing),
    "fit recipe": (fit, "recipe", nothing),
    "fit train": (fit, "train", nothing),
    "fit held_out": (fit, "held_out", nothing),
    "fit teacher": (fit, "teacher", or_none(nothing)),
    "fit seed": (fit, "seed", is_whole(0, 2**32 - 1)),
    "find_learning_rate network": (sweep, "network", nothing),
    "find_learning_rate lowest": (sweep, "lowest", lambda v: is_number(0, 10)(v) and 0 < v < 10),
    "find_learning_rate highest": (
        sweep,
        "highest",
        lambda v: is_number(1e-8, 1e38)(v) and v > 1e-8,
    ),
    "find_learning_rate steps": (sweep, "steps", is_whole(2, engine.MOST_STEPS)),
    "find_learning_rate smoothing": (
        sweep,
        "smoothing",
        lambda value: is_number(0, 1)(value) and value < 1,
    ),
    "records.load": (records.load, "name", is_one_of(*records.names())),
    "analyze": (lambda module: receptive_field.analyze(module, (8, 8)), "module", nothing),
    "analyze size": (
        lambda size: receptive_field.analyze(torch.nn.Conv2d(3, 4, 1), size),
        "size",
        is_row(2, is_whole(1, 10_000)),
    ),
    "analyze channels": (
        lambda channels: receptive_field.analyze(
            torch.nn.Conv2d(3, 4, 1), (8, 8), channels=channels
        ),
        "channels",
        lambda value: value is None or is_whole(3, 3)(value),
    ),
    "box": (lambda y: FIELD.box(y, 0), "y", is_whole(0, 5)),
    "effective unit": (
        lambda unit: receptive_field.effective(
            torch.nn.Conv2d(3, 4, 1), torch.ones(1, 3, 8, 8), unit
        ),
        "unit",
        is_row(2, is_whole(0, 7)),
    ),
    "effective images": (
        lambda images: receptive_field.effective(torch.nn.Conv2d(3, 4, 1), images, (0, 0)),
        "images",
        lambda value: (
            is_array(torch.Tensor, str(value.dtype)[6:], None, 3, None, None)(value)
            if isinstance(value, torch.Tensor)
            else False
        ),
    ),
    "effective layer": (
        lambda layer: receptive_field.effective(
            torch.nn.Conv2d(3, 4, 1), torch.ones(1, 3, 8, 8), (0, 0), layer=layer
        ),
        "layer",
        is_one_of(""),
    ),
}
CALLED = {"create": "network", "get": "recipe", "records.load": "record"}  # instead of "name"
OURS = str(Path(cli.__file__).parent)


@pytest.fixture(autouse=True)
def empty_folder(monkeypatch, tmp_path):
    """Where no path that comes up by chance leads to a record."""
    folder = tmp_path / "one" / "two" / "three" / "four"
    folder.mkdir(parents=True)
    monkeypatch.chdir(folder)


def try_out(case, value):
    """Call it with `value`: a refusal is by name, in one line, of ours, and right."""
    call, argument, fits = CASES[case]
    try:
        call(**{argument: value})
    except (ValueError, TypeError, OSError) as error:
        message = str(error)
        assert CALLED.get(case, argument) in message, message
        assert "\n" not in message and len(message) < 600, message
        raised = traceback.extract_tb(error.__traceback__)[-1].filename
        assert raised.startswith(OURS), f"from the depths: {raised}: {message}"
        assert fits is None or not fits(value), f"refused: {message}"
    else:
        assert fits is None or fits(value), "taken in silence"


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:This DataLoader will create")  # more workers than cores
@pytest.mark.parametrize("case", CASES)
@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
@given(value=ANYTHING)
def test_a_value_is_taken_as_documented_or_refused_by_name(case, value):
    try_out(case, value)


@pytest.mark.long
@pytest.mark.filterwarnings("ignore:This DataLoader will create")
@pytest.mark.parametrize("case", CASES)
@settings(max_examples=500, deadline=None, suppress_health_check=list(HealthCheck))
@given(value=ANYTHING)
def test_any_of_500_values_is_taken_as_documented_or_refused_by_name(case, value):
    try_out(case, value)


# ------------------------------------------------------------------------------ the command line

WORDS = st.one_of(
    st.sampled_from(
        "tiny baseline cifar10 synthetic cpu cuda:7 fp32 bf16 skipnet conv0.0 os:getcwd sys:exit "
        "nothing:here : a:b:c ..:x builtins:dict math:pi 8 0 -1 1.5 1e9 0x0 4x99999999 8x8 runs "
        "nan inf True 日本 ü -- - --json .. file/below \U0001f600".split()
    ),
    st.integers(-(10**12), 10**30).map(str),
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=6),
    st.sampled_from(["", " ", "a" * 300, "a\nb", "'", '"', "*", "%s", "{}"]),
)
OPTIONS = {
    "data": ["--json"],
    "train": "--seed --epochs --data --validation --out --workers --device --precision".split(),
    "evaluate": ["--device", "--precision", "--json"],
    "records": ["--json"],
    "receptive-field": ["--input", "--layer", "--through-gates", "--json"],
}
USUAL = {"train": "tiny", "evaluate": "runs/tiny-seed0", "receptive-field": "tiny"}


@st.composite
def commands(draw):
    """A command with words that are right, nearly right, or nonsense."""
    name = draw(st.sampled_from([*OPTIONS, "train", "receptive-field", "", "trian"]))
    line = [name] if name else []
    if name in USUAL:
        line.append(USUAL[name] if draw(st.booleans()) else draw(WORDS))
    for option in draw(st.lists(st.sampled_from(OPTIONS.get(name, ["--json"])), max_size=3)):
        line += [option, draw(WORDS)] if draw(st.booleans()) else [option]
    return line


@pytest.fixture
def desk(tiny, monkeypatch, tmp_path):
    """A folder to work in, with a file in it; nothing here trains, for `fit` has its own tests."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("CIFARLAB_DATA", str(tmp_path / "nothing"))
    monkeypatch.setattr(engine, "fit", lambda *_, **__: iter(()))
    monkeypatch.setattr(data, "synthetic", lambda count, seed: SPLIT)


def speak(line, capsys):
    """Give a command: it is obeyed, or refused in words."""
    try:
        status = cli.main(line)
    except SystemExit as stopped:  # argparse's way
        status = stopped.code
    out, err = capsys.readouterr()
    assert status in (0, 2), line
    assert "Traceback" not in err
    if status:
        assert out == ""
        assert re.search(r"^cifarlab[ a-z-]*: \S", err, re.MULTILINE), err


@pytest.mark.slow
@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(line=commands())
def test_a_command_line_is_obeyed_or_refused_in_words(line, desk, capsys):
    speak(line, capsys)


@pytest.mark.long
@settings(max_examples=3_000, deadline=None, suppress_health_check=list(HealthCheck))
@given(line=commands())
def test_any_of_3000_command_lines_is_obeyed_or_refused_in_words(line, desk, capsys):
    speak(line, capsys)
