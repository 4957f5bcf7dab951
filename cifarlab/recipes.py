"""Named, complete training configurations: every setting of a run but its seed.

Lesson: Train under 200,000 parameters.
"""

import json
import re
from dataclasses import MISSING, Field, dataclass, field, fields, replace
from typing import Any, Literal, get_args

from torch import nn

from cifarlab import _arguments as arguments
from cifarlab import data, model

Anneal = Literal["cos", "linear", "steps"]
Mixing = Literal["none", "mixup", "cutmix"]
_NAME = re.compile(r"[\w.-]{1,100}")


def _limited(low: float, high: float, default: Any = MISSING) -> Any:
    """A recipe's field of a number from `low` to `high`."""
    return field(default=default, metadata={"limits": (low, high)})


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """How to train one network. With a seed, it fixes the run."""

    name: str
    network: str  # a name of `model.names()`
    network_options: dict = field(default_factory=dict, hash=False)  # of `model.create`
    epochs: int = _limited(1, 100_000)
    batch_size: int = _limited(1, 100_000)  # images
    peak_learning_rate: float = _limited(0, 1e6)  # top of the one cycle
    momentum: float = _limited(0, 1, 0.9)
    nesterov: bool = False
    weight_decay: float = _limited(0, 1e6, 0.0)
    norm_bias_factor: float = _limited(0, 1e6, 1.0)  # of the rate, for the biases of batch norms
    # Of dense and pointwise convolutions; 0: no Muon.
    muon_peak_learning_rate: float = _limited(0, 1e6, 0.0)
    muon_momentum: float = _limited(0, 1, 0.6)
    warmup_share: float = _limited(0, 1, 0.3)  # of all steps, while the rate climbs
    start_divisor: float = _limited(1, 1e12, 25.0)  # first rate = peak / start_divisor
    end_divisor: float = _limited(1e-6, 1e12, 1e4)  # last rate = first rate / end_divisor
    # "cos" or "linear", up and down; "steps": the peak, then tenths of it
    anneal: Anneal = "cos"
    cycle_momentum: bool = True  # 0.95 at the ends, 0.85 at the peak, in place of `momentum`
    label_smoothing: float = _limited(0, 1, 0.0)
    ema_decay: float | None = None  # per step; the averaged weights are the result
    remeasure_norms: bool = False  # batch norms' averages, over one epoch, after the last step
    augmentation: str = "none"  # a name of `data.AUGMENTATIONS`
    mixing: Mixing = "none"  # of each picture and its label with another of the batch
    # A record, by name or folder; its network's probabilities take the place of the labels.
    teacher: str | None = None
    # Of the images, those of least loss, in all epochs but the first and the last; the log's
    # training score is then of the others.
    easy_left_out: float = _limited(0, 0.99, 0.0)
    images: int | None = None  # to learn from, equally many of each class; None: all there are
    mean: tuple[float, float, float] = data.MEAN
    std: tuple[float, float, float] = data.STD
    test_every_epoch: bool = False  # else once, after the last

    def __post_init__(self) -> None:
        """Refuse what could only fail later."""
        try:
            for setting in fields(self):
                value = _checked(setting, getattr(self, setting.name))
                object.__setattr__(self, setting.name, value)
        except TypeError as error:  # what a record or a command line holds is a value
            raise ValueError(error) from error
        object.__setattr__(self, "network_options", self._plain_options())
        if self.nesterov and self.momentum == 0:
            raise ValueError("nesterov=True needs a momentum above 0.")
        if self.easy_left_out and self.mixing != "none":  # no loss is of one image alone
            raise ValueError(
                f"easy_left_out={self.easy_left_out} and mixing={self.mixing!r}; a mixed picture "
                "can't say which of its two was easy: leave out one of both settings."
            )
        if self.teacher and self.label_smoothing:  # it would blur what the teacher knows
            named = arguments.shown(self.teacher)
            raise ValueError(
                f"label_smoothing={self.label_smoothing} and teacher={named}; a teacher's "
                "probabilities are soft already: set label_smoothing=0."
            )

    def _plain_options(self) -> dict:
        """The options of the network as JSON has them, lists for tuples: as in a record."""
        try:
            plain = json.loads(json.dumps(self.network_options))
        except (TypeError, ValueError, RecursionError):
            plain = None
        known = model.options_of(self.network)
        if not isinstance(plain, dict) or not set(plain) <= set(known):
            raise ValueError(
                f"network_options={arguments.shown(self.network_options)}; it must be a "
                f"dictionary of what {self.network!r} takes ({', '.join(known)}), as JSON has it."
            )
        return plain

    def create_network(self) -> nn.Module:
        """Its network, with fresh random weights from torch's global generator.

        Raises: TypeError or ValueError if the network does not take a value of `network_options`.
        """
        return model.create(self.network, **self.network_options)


def _checked(setting: Field, value: Any) -> Any:
    """`value` as the field takes it.

    Raises: TypeError or ValueError if it does not.
    """
    if "limits" in setting.metadata:
        if setting.type is int:
            return arguments.whole(setting.name, value, *setting.metadata["limits"])
        number = arguments.number(setting.name, value, *setting.metadata["limits"])
        return number if isinstance(number, int) else float(number)  # as JSON has them
    if setting.type is bool:
        return arguments.instance(setting.name, value, bool)
    if setting.name == "name" and not (isinstance(value, str) and _NAME.fullmatch(value)):
        raise ValueError(
            f"name={arguments.shown(value)}; it names files: it must be 1 to 100 letters, "
            "digits, dots, dashes or underscores."
        )
    if setting.name in ("mean", "std"):
        least = 0 if setting.name == "mean" else 1e-6
        return tuple(map(float, arguments.three(setting.name, value, least, 1)))
    if setting.name == "teacher" and not (value is None or (isinstance(value, str) and value)):
        raise ValueError(
            f"teacher={arguments.shown(value)}; it must be None, or the name or folder of a record."
        )
    if setting.name == "images" and value is not None:
        return arguments.whole("images", value, 1)
    if setting.name == "ema_decay" and not (
        value is None or (isinstance(value, float) and 0 < value < 1)
    ):
        raise ValueError(
            f"ema_decay={arguments.shown(value)}; it must be None or lie between 0 and 1."
        )
    words = {
        "network": model.names(),
        "augmentation": data.AUGMENTATIONS,
        "anneal": get_args(Anneal),
        "mixing": get_args(Mixing),
    }
    if setting.name in words:
        return arguments.one_of(setting.name, value, words[setting.name])
    return value


RECIPES = {
    recipe.name: recipe
    for recipe in [
        # The 2023 run, mistakes included: the black cutout and the mean of per-image standard
        # deviations. It reported 87.04 %, its best epoch on the test images.
        Recipe(
            name="baseline",
            network="skipnet",
            epochs=30,
            batch_size=128,
            peak_learning_rate=0.5,
            augmentation="original",
            std=data.PER_IMAGE_STD,
            test_every_epoch=True,
        ),
        # As few minutes as it takes to beat the 2023 run on two cores of a CPU. It learns from
        # windows of 28x28 pixels and is tested on whole images: a convolution takes either.
        Recipe(
            name="fast",
            network="fast",
            epochs=10,
            batch_size=256,
            peak_learning_rate=0.5,
            nesterov=True,
            weight_decay=5e-4,
            norm_bias_factor=16.0,
            muon_peak_learning_rate=0.1,
            warmup_share=0.25,
            anneal="linear",
            cycle_momentum=False,
            label_smoothing=0.1,
            augmentation="flip-crop",
        ),
        # `fast` in little more than half of its time, for 0.4 points. Half of the pictures,
        # those that it finds easy, are left out of seven of nine epochs. Weight decay and the
        # faster biases are gone, too: in so short a training it learns more without them.
        Recipe(
            name="quick",
            network="fast",
            epochs=9,
            batch_size=256,
            peak_learning_rate=0.5,
            nesterov=True,
            muon_peak_learning_rate=0.1,
            warmup_share=0.25,
            anneal="linear",
            cycle_momentum=False,
            label_smoothing=0.1,
            augmentation="flip-crop",
            easy_left_out=0.5,
        ),
        # As many right as 200,000 parameters allow: what `fast` has, but a first stage that keeps
        # all pixels, a longer training, and images that are harder to know by heart.
        Recipe(
            name="accurate",
            network="fast",
            network_options={
                "widths": (64, 128),
                "early": ("separable",) * 6,
                "late": ("separable", "dilated separable") * 4,
                "strides": (1, 2),
                "entries": ("dense", "separable"),
            },
            epochs=150,
            batch_size=512,
            peak_learning_rate=0.7,
            nesterov=True,
            weight_decay=5e-4,
            norm_bias_factor=16.0,
            muon_peak_learning_rate=0.1,
            warmup_share=0.1,
            anneal="linear",
            cycle_momentum=False,
            label_smoothing=0.1,
            augmentation="all",
        ),
        # Whose probabilities a smaller network may learn from: `accurate`, twice as wide and with
        # dense convolutions. 3.3 million parameters, and 1.27 G multiply-adds an image; at a
        # quarter of an H200's peak an epoch would take two seconds, and being asked in an epoch of
        # a student 0.6. Its own labels are smoothed as those of `accurate`: whether that harms
        # students is disputed (Müller et al. 2019, arXiv:1906.02629: yes; Chandrasegaran et al.
        # 2022, arXiv:2206.14532: not where probabilities are taken as they are, as here).
        Recipe(
            name="teacher",
            network="fast",
            network_options={
                "widths": (128, 256),
                "early": ("dense",) * 4,
                "late": ("dense",) * 4,
                "strides": (1, 2),
                "entries": ("dense", "dense"),
            },
            epochs=80,
            batch_size=512,
            peak_learning_rate=0.7,
            nesterov=True,
            weight_decay=5e-4,
            norm_bias_factor=16.0,
            muon_peak_learning_rate=0.1,
            warmup_share=0.1,
            anneal="linear",
            cycle_momentum=False,
            label_smoothing=0.1,
            augmentation="all",
        ),
    ]
}


def names() -> list[str]:
    """Names of the recipes that `get` knows."""
    return sorted(RECIPES)


def get(name: str, /, **changes) -> Recipe:
    """The recipe called `name`, with `changes` to its fields, such as `epochs=2` or another `name`.

    Raises: ValueError if there is no such recipe or field, or a value is out of its range.
    """
    if not isinstance(name, str) or name not in RECIPES:
        raise ValueError(
            f"no recipe is called {arguments.shown(name)}; choose one of: {', '.join(names())}."
        )
    known = {setting.name for setting in fields(Recipe)}
    if unknown := sorted(set(changes) - known):
        raise ValueError(
            f"a recipe has no {', '.join(unknown)}; its fields are: {', '.join(sorted(known))}."
        )
    return replace(RECIPES[name], **changes)
