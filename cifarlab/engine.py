"""One run: find a learning rate, fit, evaluate, resume.

Lesson: Train under 200,000 parameters.
"""

import itertools
import math
import os
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.optim.lr_scheduler import LRScheduler, MultiStepLR, OneCycleLR
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn, update_bn
from torchvision.transforms import v2
from tqdm.auto import tqdm

from cifarlab import _arguments as arguments
from cifarlab import _checkpoints, data, hardness, model, muon
from cifarlab.numerics import Numerics, fastest, keep_freed_memory
from cifarlab.recipes import Recipe
from cifarlab.schema import Epoch, Score

Batches = Iterable[tuple[Tensor, Tensor]]  # images (B, 3, H, W), labels (B,)

# -------------------------------------------------------------------------------- evaluation


@contextmanager
def placed(network: nn.Module, numerics: Numerics) -> Iterator[None]:
    """`network` is where `numerics` computes, and afterwards where it was."""
    home = next((weights.device for weights in network.parameters()), torch.device("cpu"))
    numerics.place(network)
    try:
        yield
    finally:
        network.to(home)


@torch.no_grad()  # not inference_mode: weights moved under it could never be trained again
def predict(
    network: nn.Module, batches: Batches, numerics: Numerics | None = None
) -> tuple[Tensor, Tensor]:
    """Log-probabilities (N, classes) float32 and labels (N,) int64, on the CPU.

    Leaves `network` in eval mode, on the device where it was.

    Raises: TypeError if `network` is none; ValueError if `batches` holds nothing, or the network
    gives an image no row of scores.
    """
    arguments.instance("network", network, nn.Module)
    numerics = numerics or fastest()
    outputs, labels = [], []
    with placed(network, numerics):
        network.eval()
        for batch_images, batch_labels in batches:
            scores = numerics.compute(network, batch_images)
            _check_scores(scores, batch_images)
            outputs.append(scores.log_softmax(dim=1).cpu())
            labels.append(batch_labels)
    if not outputs:
        raise ValueError("batches holds no image; give it one or more.")
    return torch.cat(outputs), torch.cat(labels)


def score(log_probabilities: Tensor, labels: Tensor) -> Score:
    """Mean loss and accuracy of predictions (N, classes) against labels (N,).

    Raises: TypeError or ValueError if an argument is not of its shape and range.
    """
    arguments.predictions(log_probabilities, labels)
    return Score(
        F.nll_loss(log_probabilities, labels).item(),
        100 * (log_probabilities.argmax(dim=1) == labels).sum().item() / len(labels),
    )


def evaluate(network: nn.Module, batches: Batches, numerics: Numerics | None = None) -> Score:
    """Mean loss and accuracy of `network` over all images of `batches`."""
    return score(*predict(network, batches, numerics))


# ---------------------------------------------------------------------------------- training


def progress(steps: Iterable, description: str) -> Iterable:
    """`steps` behind a progress bar in a terminal or a notebook, and as they are elsewhere.

    With TQDM_DISABLE set, nowhere: a stored notebook would keep a dead bar.
    """
    someone_looks = sys.stderr.isatty() or "ipykernel" in sys.modules
    someone_looks = someone_looks and "TQDM_DISABLE" not in os.environ
    return tqdm(steps, description, leave=False) if someone_looks else steps


# mixup draws its share evenly from 0 to 1; so CutMix draws the area of its patch, but the border
# cuts patches off, and a picture keeps 0.7 of itself on average. Sources: Zhang et al. 2018,
# arXiv:1710.09412; Yun et al. 2019, arXiv:1905.04899.
MIXINGS = {"mixup": v2.MixUp, "cutmix": v2.CutMix}
LARGEST_SEED = 2**32 - 1  # torch takes more, but not NumPy's and Python's every generator


class NotFinite(ValueError):
    """The loss became infinite or not a number."""


def learn_whitening(network: nn.Module, recipe: Recipe, train: data.Split) -> None:
    """Let each `model.Whitening` of `network` learn from the first 5,000 images of `train`."""
    plain = data.pipeline(mean=recipe.mean, std=recipe.std)
    for layer in network.modules():
        if isinstance(layer, model.Whitening):
            images, _ = next(iter(data.batches(train, plain, 5000)))
            layer.learn(images)


def make_optimizer(
    network: nn.Module, recipe: Recipe, steps: int
) -> tuple[torch.optim.SGD, LRScheduler]:
    """SGD, with Muon where the recipe asks for it, and the schedule of its `steps`.

    The schedule is one cycle; with `anneal="steps"`, the peak for half of the steps, a tenth of it
    for a quarter, and a hundredth.

    Raises: ValueError if the warm-up is one step, for which `OneCycleLR` divides by zero.
    Source: Smith and Topin 2018, "Super-Convergence", arXiv:1708.07120; a faster rate for the
    biases of batch norms, Jordan 2024, section 3.4, arXiv:2404.00498.
    """
    if recipe.anneal != "steps" and recipe.warmup_share * steps == 1:
        raise ValueError(
            f"warmup_share={recipe.warmup_share} of {steps} steps is a warm-up of one step; "
            "choose another share or another number of epochs."
        )
    peak = recipe.peak_learning_rate
    norms = [layer for layer in network.modules() if isinstance(layer, nn.BatchNorm2d)]
    norm_biases = [layer.bias for layer in norms if layer.bias is not None]
    matrices = muon.matrices(network) if recipe.muon_peak_learning_rate else []
    apart = {*norm_biases, *matrices}  # tensors are told apart by identity
    others = [weights for weights in network.parameters() if weights not in apart]
    groups: list[dict[str, Any]] = [{"params": others}, {"params": norm_biases}]
    peaks = [peak, peak * recipe.norm_bias_factor]
    lows, highs = [0.85, 0.85], [0.95, 0.95]  # of a cycled momentum
    if matrices:
        groups.append({"params": matrices, "momentum": recipe.muon_momentum, "orthogonal": True})
        peaks.append(recipe.muon_peak_learning_rate)
        lows.append(recipe.muon_momentum)  # Muon's stays as it is
        highs.append(recipe.muon_momentum)
    optimizer = (muon.Muon if matrices else torch.optim.SGD)(
        groups,
        lr=peak,
        momentum=recipe.momentum,
        nesterov=recipe.nesterov,
        weight_decay=recipe.weight_decay,
    )
    if recipe.anneal == "steps":
        for group, rate in zip(optimizer.param_groups, peaks, strict=True):
            group["lr"] = rate
        return optimizer, MultiStepLR(optimizer, [steps // 2, 3 * steps // 4])
    schedule = OneCycleLR(
        optimizer,
        peaks,
        total_steps=steps,
        pct_start=float(recipe.warmup_share),
        anneal_strategy=recipe.anneal,
        cycle_momentum=recipe.cycle_momentum,
        base_momentum=lows,
        max_momentum=highs,
        div_factor=recipe.start_divisor,
        final_div_factor=recipe.end_divisor,
    )
    return optimizer, schedule


def remeasure_norms(network: nn.Module, batches: Batches, numerics: Numerics) -> None:
    """Set the averages of `network`'s batch norms to those of all `batches`, each counting once.

    While the learning rate is high, the weights move on faster than running averages follow.

    Source: Izmailov et al. 2018, "Averaging Weights Leads to Wider Optima", section 3.2,
    arXiv:1803.05407.
    """
    with numerics.autocast():
        update_bn((numerics.lay_out(images) for images, _ in batches), network)


@dataclass
class Run:
    """A network in training, and all that changes with it from step to step."""

    network: nn.Module
    recipe: Recipe
    numerics: Numerics
    optimizer: torch.optim.Optimizer
    schedule: LRScheduler
    scaler: torch.amp.GradScaler
    average: AveragedModel | None  # of the weights, where the recipe asks for it
    steps: int  # in all epochs
    classes: int  # of the images
    losses: hardness.Losses
    teacher: nn.Module | None = None  # whose probabilities are the labels
    epoch: int = 0  # the one that is going on
    learning_rate: float = 0.0  # of the last step

    @classmethod
    def begin(
        cls,
        network: nn.Module,
        recipe: Recipe,
        train: data.Split,
        numerics: Numerics,
        teacher: nn.Module | None = None,
    ) -> "Run":
        """The run before its first step."""
        keep_freed_memory()
        numerics.place(network)
        if teacher is not None:
            numerics.place(teacher).eval()
        learn_whitening(network, recipe, train)
        sizes = hardness.epoch_sizes(recipe, len(train))
        steps = sum(math.ceil(size / recipe.batch_size) for size in sizes)
        optimizer, schedule = make_optimizer(network, recipe, steps)
        average = None
        if recipe.ema_decay:
            decay = get_ema_multi_avg_fn(recipe.ema_decay)
            average = AveragedModel(network, multi_avg_fn=decay, use_buffers=True)
        return cls(
            network,
            recipe,
            numerics,
            optimizer,
            schedule,
            numerics.scaler(),
            average,
            steps,
            len(train.classes),
            hardness.Losses(len(train)),
            teacher,
        )

    def parts(self) -> dict[str, Any]:
        """What a checkpoint keeps the state of, by name."""
        parts = {
            "network": self.network,
            "optimizer": self.optimizer,
            "schedule": self.schedule,
            "scaler": self.scaler,
        }
        if self.recipe.easy_left_out:
            parts["losses"] = self.losses
        return parts | ({"average": self.average} if self.average else {})

    def step(self, loss: Tensor) -> None:
        """Move the weights against the gradient of `loss`, and the learning rate on."""
        self.optimizer.zero_grad()
        self.scaler.scale(loss).backward()
        self.scaler.step(self.optimizer)
        scale = self.scaler.get_scale()
        self.scaler.update()
        self.learning_rate = float(self.schedule.get_last_lr()[0])
        # Where fp16 overflowed, the scaler left the step out, and the schedule waits for it.
        taken = self.scaler.get_scale() >= scale
        if taken and self.schedule.last_epoch < self.steps - 1:
            self.schedule.step()
        if self.average:
            self.average.update_parameters(self.network)

    def finish(self, batches: Batches) -> None:
        """Make `network` the result: averaged, with batch norms measured anew, where asked for."""
        if self.average:
            self.network.load_state_dict(self.average.module.state_dict())
            self.average = None  # from here on, `network` is the one to score
        if self.recipe.remeasure_norms:
            remeasure_norms(self.network, batches, self.numerics)

    def check_weights(self) -> None:
        """Refuse weights from which no run could go on.

        Raises: NotFinite if one of them is no number.
        """
        if not all(weights.isfinite().all() for weights in self.network.parameters()):
            raise self.diverged("the weights are no good numbers after")

    def diverged(self, what: str) -> NotFinite:
        """The error that says where the run left all numbers."""
        return NotFinite(
            f"{what} epoch {self.epoch}: training has diverged. "
            f"Lower peak_learning_rate ({self.recipe.peak_learning_rate}) or check the data."
        )


def train_epoch(run: Run, batches: Batches) -> tuple[Score, Tensor]:
    """Learn from all `batches` once; how each image did before its step: the score, each loss.

    The losses (N,) are of the labels as they are, one for each image, in the order of the batches.
    Where the recipe mixes pictures, their labels are mixed alike, and right is the larger share.
    A teacher sees the same pictures, and its probabilities are what the loss takes for labels.

    Raises: NotFinite if a loss is no number; ValueError if the network has a score too few.
    Source: a teacher, Hinton et al. 2015, "Distilling the Knowledge in a Neural Network",
    arXiv:1503.02531; the same pictures for both, Beyer et al. 2022, "Knowledge distillation: A good
    teacher is patient and consistent", arXiv:2106.05237.
    """
    run.network.train()
    mixing = MIXINGS.get(run.recipe.mixing)
    mix = mixing(num_classes=run.classes) if mixing else None
    loss_sum, correct, images_seen, losses = 0.0, 0, 0, []
    for images, labels in batches:
        if mix:
            images, labels = mix(images, labels)  # shares (B, classes)
        labels = labels.to(run.numerics.device, non_blocking=True)  # (B,), or as above
        outputs = run.numerics.compute(run.network, images)  # (B, classes)
        _check_scores(outputs, images, run.classes)
        right = labels.argmax(dim=1) if mix else labels
        losses.append(F.cross_entropy(outputs.detach().float(), right, reduction="none"))
        if run.teacher is not None:
            with torch.no_grad():
                labels = run.numerics.compute(run.teacher, images).softmax(dim=1)
        if labels.ndim == 2:
            labels = F.pad(labels, (0, outputs.shape[1] - run.classes))  # it may have more scores
        loss = F.cross_entropy(outputs, labels, label_smoothing=run.recipe.label_smoothing)
        if not math.isfinite(loss.item()):
            raise run.diverged(f"the loss is {loss.item()} in")
        run.step(loss)
        # Sums, not means: the last batch is shorter, yet every image counts once.
        loss_sum += loss.item() * len(labels)
        correct += int((outputs.argmax(dim=1) == right).sum())
        images_seen += len(labels)
    return Score(loss_sum / images_seen, 100 * correct / images_seen), torch.cat(losses).cpu()


def _check_scores(outputs: Tensor, images: Tensor, classes: int = 1) -> None:
    """Nothing, if they are a row of `classes` scores or more for each image.

    Raises: ValueError that says so.
    """
    if outputs.ndim != 2 or len(outputs) != len(images):
        raise ValueError(
            f"the network gives {tuple(outputs.shape)} for {len(images)} images; it must give a "
            f"row of scores for each: ({len(images)}, classes)."
        )
    if outputs.shape[1] < classes:  # torch would name an index, or stop the GPU
        raise ValueError(
            f"images of {classes} classes meet a network of {outputs.shape[1]} scores; "
            "give it one output for each class."
        )


def score_epoch(run: Run, held_out: data.Split) -> Score:
    """How well the averaged weights, or else the weights, do on images as they are.

    Raises: NotFinite if a prediction is no number.
    """
    plain = data.pipeline(mean=run.recipe.mean, std=run.recipe.std)
    network = run.average.module if run.average else run.network
    predictions, labels = predict(network, data.batches(held_out, plain, 1000), run.numerics)
    if not predictions.isfinite().all():
        raise run.diverged("the weights are no good numbers after")
    return score(predictions, labels)


def fit(
    network: nn.Module,
    recipe: Recipe,
    train: data.Split,
    held_out: data.Split,
    *,
    seed: int = 0,
    every_epoch: bool = True,
    checkpoint: Path | None = None,
    resume: bool = False,
    workers: int = 0,
    numerics: Numerics | None = None,
    teacher: nn.Module | None = None,
) -> Iterator[Epoch]:
    """Train `network` in place by `recipe`; yield what each epoch did.

    `held_out` is scored after every epoch, or only after the last where `every_epoch` is false.
    Where `checkpoint` names a file, the whole state is written there before each yield;
    `resume` goes on from it, and yields the epochs it holds first. On one CPU a resumed run
    equals an uninterrupted one bit for bit. `teacher` is the network that the recipe names as its
    teacher, if it names one; it goes where `network` goes, in eval mode, and learns nothing.

    Raises, when it is called: TypeError or ValueError if an argument is out of its range, or
    `checkpoint` damaged or of another run; OSError if it can't be read. While it trains: NotFinite
    if the loss is no number; OSError if the checkpoint can't be written, and then the last good
    one stays.
    """
    arguments.instance("network", network, nn.Module)
    arguments.instance("recipe", recipe, Recipe)
    arguments.whole("seed", seed, 0, LARGEST_SEED)
    arguments.whole("workers", workers, 0, data.MOST_WORKERS)
    for name, split in (("train", train), ("held_out", held_out)):
        if not len(arguments.instance(name, split, data.Split)):
            raise ValueError(f"{name} holds no image; give it one or more.")
    if resume and checkpoint is None:
        raise ValueError("resume=True needs a checkpoint; name its file.")
    if len(held_out.classes) > len(train.classes):
        raise ValueError(
            f"held_out has {len(held_out.classes)} classes, and train only "
            f"{len(train.classes)}; give both the same."
        )
    numerics = numerics or fastest()
    _check_teacher(teacher, network, recipe, train, numerics)
    run = Run.begin(network, recipe, train, numerics, teacher)
    checkpoint_file = _checkpoints.Checkpoint(
        path=checkpoint and Path(checkpoint),
        identity={
            "recipe": _checkpoints.plain(recipe),
            "seed": seed,
            "source": train.source,
            "images": len(train),
            "data": _checkpoints.fingerprint(train, held_out),
            "teacher": _checkpoints.weights_fingerprint(teacher),
        },
        parts=run.parts(),
    )
    history = checkpoint_file.load() if resume else []
    return _epochs(run, train, held_out, history, checkpoint_file, seed, every_epoch, workers)


def _check_teacher(
    teacher: nn.Module | None,
    network: nn.Module,
    recipe: Recipe,
    train: data.Split,
    numerics: Numerics,
) -> None:
    """Nothing, if the recipe names one where there is one, and it can teach `network` on `train`.

    Raises: TypeError or ValueError that says so.
    """
    arguments.instance("teacher", teacher, nn.Module | None)
    if (teacher is None) != (recipe.teacher is None):
        raise ValueError(
            f"teacher={arguments.shown(teacher)}, and the recipe's teacher is "
            f"{arguments.shown(recipe.teacher)}; give `records.load_network` of that, or neither."
        )
    if teacher is not None:
        if teacher is network:
            raise ValueError("teacher is the network that learns; give a trained one of its own.")
        scores, _ = predict(teacher, data.batches(train.take([0])), numerics)
        if not scores.isfinite().all():
            raise ValueError("teacher gives scores that are no numbers; give one that was trained.")
        if scores.shape[1] != len(train.classes):
            raise ValueError(
                f"teacher gives {scores.shape[1]} scores for images of {len(train.classes)} "
                "classes; give one that has learned these classes."
            )


def _epochs(
    run: Run,
    train: data.Split,
    held_out: data.Split,
    history: list[Epoch],
    checkpoint_file: _checkpoints.Checkpoint,
    seed: int,
    every_epoch: bool,
    workers: int,
) -> Iterator[Epoch]:
    """Those of `history`, then the others, each saved before it is told."""
    yield from history
    recipe = run.recipe
    augmented = data.pipeline(recipe.augmentation, mean=recipe.mean, std=recipe.std)
    sizes = hardness.epoch_sizes(recipe, len(train))
    for run.epoch in range(len(history) + 1, recipe.epochs + 1):
        # Each epoch starts its own stream (dropout draws from it), so resuming needs no other.
        torch.manual_seed(int(np.random.SeedSequence([seed, run.epoch]).generate_state(1)[0]))
        started = time.perf_counter()
        met = run.losses.hardest(sizes[run.epoch - 1])
        batches = data.batches(
            train if len(met) == len(train) else train.take(met),  # a copy
            augmented,
            recipe.batch_size,
            shuffle=True,
            seed=seed,
            epoch=run.epoch,
            workers=workers,
        )
        learned, losses = train_epoch(run, progress(batches, f"epoch {run.epoch}/{recipe.epochs}"))
        run.losses.last[met[data.shuffled(len(met), seed, run.epoch)]] = losses
        last = run.epoch == recipe.epochs
        if last:
            run.finish(batches)
        trained = time.perf_counter()
        run.check_weights()  # those of the last step met no loss yet
        scored = score_epoch(run, held_out) if every_epoch or last else None
        epoch = Epoch(
            number=run.epoch,
            learning_rate=run.learning_rate,
            train=learned,
            held_out=scored,
            seconds=trained - started,
            evaluation_seconds=time.perf_counter() - trained,
            load=os.getloadavg()[0] if hasattr(os, "getloadavg") else None,  # not on Windows
        )
        history.append(epoch)
        checkpoint_file.save(history)
        yield epoch


# ---------------------------------------------------------------------- learning-rate finder


MOST_STEPS = 1000  # of a sweep; more would show nothing new


@dataclass(frozen=True)
class Sweep:
    """Learning rates tried, one a step, and the smoothed loss that each met."""

    learning_rates: list[float]
    losses: list[float]


def find_learning_rate(
    network: nn.Module,
    recipe: Recipe,
    train: data.Split,
    *,
    lowest: float = 1e-8,
    highest: float = 10.0,
    steps: int = 100,
    smoothing: float = 0.98,
    seed: int = 0,
    numerics: Numerics | None = None,
) -> Sweep:
    """Train for up to `steps` batches while the rate climbs from `lowest` to `highest`.

    Stops once the smoothed loss is four times its best; `smoothing`, 0 to 1, is the share of the
    old average in the new (less of it for fewer steps). The steps are of SGD with the momentum of
    `recipe`, for all weights, without what else it asks of a step (Muon, weight decay, label
    smoothing, mixed pictures, a teacher, another rate for the biases of batch norms). `network`
    gets its weights and modes back, no gradients, and goes back to its device.

    Raises: ValueError if the range is empty; NotFinite if the very first loss is no number.
    Source: Smith 2017, "Cyclical Learning Rates", section 3.3, arXiv:1506.01186.
    """
    arguments.instance("network", network, nn.Module)
    arguments.instance("recipe", recipe, Recipe)
    if not len(arguments.instance("train", train, data.Split)):
        raise ValueError("train holds no image; give it one or more.")
    arguments.number("lowest", lowest, 0, 1e38)
    arguments.number("highest", highest, 0, 1e38)
    if not 0 < lowest < highest:
        raise ValueError(f"lowest={lowest}, highest={highest}; 0 < lowest < highest is needed.")
    arguments.number("smoothing", smoothing, 0, 1)
    if smoothing == 1:
        raise ValueError(f"smoothing={smoothing}; it must be at least 0 and below 1.")
    arguments.whole("steps", steps, 2, MOST_STEPS)
    arguments.whole("seed", seed, 0, LARGEST_SEED)
    transform = data.pipeline(recipe.augmentation, mean=recipe.mean, std=recipe.std)
    epochs = (  # as many as it takes
        data.batches(train, transform, recipe.batch_size, shuffle=True, seed=seed, epoch=epoch)
        for epoch in itertools.count()
    )
    numerics = numerics or fastest()
    keep_freed_memory()
    scaler = numerics.scaler()
    learning_rates: list[float] = []
    losses: list[float] = []
    average = 0.0
    with placed(network, numerics), model.modes_kept(network):
        before = {name: value.clone() for name, value in network.state_dict().items()}
        optimizer = torch.optim.SGD(
            network.parameters(), lr=lowest, momentum=recipe.momentum, nesterov=recipe.nesterov
        )
        try:
            learn_whitening(network, recipe, train)
            torch.manual_seed(seed)  # dropout draws from it
            network.train()
            for step, (images, labels) in zip(
                progress(range(steps), "learning rate"),
                itertools.chain.from_iterable(epochs),
                strict=False,
            ):
                learning_rate = lowest * (highest / lowest) ** (step / (steps - 1))
                optimizer.param_groups[0]["lr"] = learning_rate
                outputs = numerics.compute(network, images)
                _check_scores(outputs, images, len(train.classes))
                loss = F.cross_entropy(outputs, labels.to(numerics.device))
                average = smoothing * average + (1 - smoothing) * loss.item()
                smoothed = average / (1 - smoothing ** (step + 1))  # as if it had not started at 0
                if not math.isfinite(smoothed) and not losses:
                    raise NotFinite(f"the loss of the first batch is {smoothed}: check the data.")
                if not math.isfinite(smoothed) or (losses and smoothed > 4 * min(losses)):
                    break
                learning_rates.append(learning_rate)
                losses.append(smoothed)
                optimizer.zero_grad()
                scaler.scale(loss).backward()
                scaler.step(optimizer)
                scaler.update()
        finally:
            network.load_state_dict(before)
            optimizer.zero_grad()
    return Sweep(learning_rates, losses)
