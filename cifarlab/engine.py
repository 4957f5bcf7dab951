"""One run: find a learning rate, fit, evaluate, save, resume.

Lesson: Train under 200,000 parameters.
"""

import ctypes
import hashlib
import io
import math
import os
import sys
import time
import zipfile
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.optim.lr_scheduler import LRScheduler, MultiStepLR, OneCycleLR
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn, update_bn
from tqdm.auto import tqdm

from cifarlab import _arguments as arguments
from cifarlab import data, model, muon
from cifarlab._files import replacing
from cifarlab.recipes import Recipe

Batches = Iterable[tuple[Tensor, Tensor]]  # images (B, 3, H, W), labels (B,)

# ---------------------------------------------------------------------------------- numerics

PRECISIONS = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
MEMORY_FORMATS = {"NCHW": torch.contiguous_format, "channels_last": torch.channels_last}


@dataclass(frozen=True)
class Numerics:
    """Where a network computes, in what precision, and in what order an image lies in memory.

    Weights and losses stay float32; `precision` is that of the layers between.
    """

    device: str
    precision: str  # of PRECISIONS
    memory_format: str  # of MEMORY_FORMATS

    def place(self, network: nn.Module) -> nn.Module:
        """`network` itself, its weights moved to the device and laid out."""
        return network.to(self.device, memory_format=MEMORY_FORMATS[self.memory_format])

    def compute(self, network: nn.Module, images: Tensor) -> Tensor:
        """`network(images)` on the device, in the precision; the result is float32."""
        with self.autocast():
            outputs = network(self.lay_out(images))
        return outputs.float()

    def lay_out(self, images: Tensor) -> Tensor:
        """`images` (N, 3, H, W) on the device, in the memory format."""
        return images.to(
            self.device, memory_format=MEMORY_FORMATS[self.memory_format], non_blocking=True
        )

    def autocast(self) -> torch.autocast:
        """The context in which layers compute in the precision."""
        dtype = PRECISIONS[self.precision]
        return torch.autocast(torch.device(self.device).type, dtype, enabled=dtype != torch.float32)

    def scaler(self) -> torch.amp.GradScaler:
        """Keeps fp16 gradients from vanishing; does nothing in the other precisions.

        Source: Micikevicius et al. 2018, "Mixed Precision Training", section 3.2,
        arXiv:1710.03740.
        """
        return torch.amp.GradScaler(
            torch.device(self.device).type, enabled=self.precision == "fp16"
        )


def numerics(
    device: str | None = None, precision: str | None = None, memory_format: str | None = None
) -> Numerics:
    """The fastest way this machine computes well; what an argument names is taken as it is.

    An argument that is not given comes from CIFARLAB_DEVICE, CIFARLAB_PRECISION or
    CIFARLAB_MEMORY_FORMAT. Otherwise: the GPU where there is one; bf16 where the processor has
    it, else fp16 on a GPU and fp32 on a CPU; channels_last.

    Raises: ValueError if the machine has no such device or a name is not known.
    """
    arguments.instance("device", device, str | None)
    arguments.instance("precision", precision, str | None)
    arguments.instance("memory_format", memory_format, str | None)
    device = device or os.environ.get("CIFARLAB_DEVICE")
    precision = precision or os.environ.get("CIFARLAB_PRECISION") or None
    memory_format = memory_format or os.environ.get("CIFARLAB_MEMORY_FORMAT") or "channels_last"

    device = device or ("cuda" if torch.cuda.is_available() else "cpu")
    kind, _, number = device.partition(":")
    available = ["cpu", *(f"cuda:{n}" for n in range(torch.cuda.device_count()))]
    if f"{kind}:{number or 0}" not in available and device != "cpu":
        raise ValueError(
            f"device={arguments.shown(device)}; this machine has: {', '.join(available)}."
        )

    if precision is None and kind == "cuda":
        # A T4 emulates bf16, slowly, and would say that it supports it.
        precision = "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp16"
    elif precision is None:
        precision = "bf16" if torch.cpu._is_avx512_bf16_supported() else "fp32"
    arguments.one_of("precision", precision, PRECISIONS)
    arguments.one_of("memory_format", memory_format, MEMORY_FORMATS)
    return Numerics(device, precision, memory_format)


def keep_freed_memory() -> None:
    """Let this process keep the memory that it frees, for its next step (Linux with glibc).

    The C library gives large blocks back to the system at once, and every training step then
    pays for 1.5 GB of fresh, zeroed pages: a third of its time (`benchmarks/step.py`).
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):  # another C library
        return
    trim_threshold, mmap_max = -1, -4  # their numbers in <malloc.h>
    mallopt(mmap_max, 0)
    mallopt(trim_threshold, -1)


# -------------------------------------------------------------------------------- evaluation


@dataclass(frozen=True)
class Score:
    """How well a network did: `loss` in nats per image, `accuracy` in per cent."""

    loss: float
    accuracy: float


@torch.no_grad()  # not inference_mode: weights moved under it could never be trained again
def predict(
    network: nn.Module, batches: Batches, numbers: Numerics | None = None
) -> tuple[Tensor, Tensor]:
    """Log-probabilities (N, classes) float32 and labels (N,) int64, on the CPU.

    Leaves `network` in eval mode, on the device where it was.

    Raises: TypeError if `network` is none; ValueError if `batches` holds nothing.
    """
    arguments.instance("network", network, nn.Module)
    numbers = numbers or numerics()
    home = next((weights.device for weights in network.parameters()), torch.device("cpu"))
    numbers.place(network).eval()
    outputs, labels = [], []
    try:
        for batch_images, batch_labels in batches:
            outputs.append(numbers.compute(network, batch_images).log_softmax(dim=1).cpu())
            labels.append(batch_labels)
    finally:
        network.to(home)
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


def evaluate(network: nn.Module, batches: Batches, numbers: Numerics | None = None) -> Score:
    """Mean loss and accuracy of `network` over all images of `batches`."""
    return score(*predict(network, batches, numbers))


# ---------------------------------------------------------------------------------- training


@dataclass(frozen=True)
class Epoch:
    """What one epoch did. Training scores are of augmented images, taken while learning."""

    number: int  # from 1
    learning_rate: float  # of its last step
    train: Score
    held_out: Score | None  # None where it was not evaluated
    seconds: float  # training
    evaluation_seconds: float
    load: float | None  # processes that ran or waited in the last minute, this one included


def progress(steps: Iterable, description: str) -> Iterable:
    """`steps` behind a progress bar in a terminal or a notebook, and as they are elsewhere.

    With TQDM_DISABLE set, nowhere: a stored notebook would keep a dead bar.
    """
    someone_looks = sys.stderr.isatty() or "ipykernel" in sys.modules
    someone_looks = someone_looks and "TQDM_DISABLE" not in os.environ
    return tqdm(steps, description, leave=False) if someone_looks else steps


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
    groups = [{"params": others}, {"params": norm_biases}]
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
    numbers: Numerics | None = None,
) -> Iterator[Epoch]:
    """Train `network` in place by `recipe`; yield what each epoch did.

    `held_out` is scored after every epoch, or only after the last where `every_epoch` is false.
    Where `checkpoint` names a file, the whole state is written there before each yield;
    `resume` goes on from it, and yields the epochs it holds first. On one CPU a resumed run
    equals an uninterrupted one bit for bit.

    Raises: NotFinite if the loss is no number; TypeError or ValueError if an argument is out of its
    range, or `checkpoint` damaged or of another run; OSError if it can't be read or written, and
    then the last good one stays.
    """
    arguments.instance("network", network, nn.Module)
    arguments.instance("recipe", recipe, Recipe)
    arguments.whole("seed", seed, 0, LARGEST_SEED)
    for name, split in (("train", train), ("held_out", held_out)):
        if not len(arguments.instance(name, split, data.Split)):
            raise ValueError(f"{name} holds no image; give it one or more.")
    if resume and checkpoint is None:
        raise ValueError("resume=True needs a checkpoint; name its file.")
    checkpoint = checkpoint and Path(checkpoint)
    numbers = numbers or numerics()
    keep_freed_memory()
    numbers.place(network)
    to_numbers = data.pipeline(recipe.augmentation, mean=recipe.mean, std=recipe.std)
    plain = data.pipeline(mean=recipe.mean, std=recipe.std)
    learn_whitening(network, recipe, train)
    steps_per_epoch = math.ceil(len(train) / recipe.batch_size)
    steps = recipe.epochs * steps_per_epoch
    optimizer, schedule = make_optimizer(network, recipe, steps)
    scaler = numbers.scaler()
    average = (
        AveragedModel(
            network, multi_avg_fn=get_ema_multi_avg_fn(recipe.ema_decay), use_buffers=True
        )
        if recipe.ema_decay
        else None
    )
    state = {"network": network, "optimizer": optimizer, "schedule": schedule, "scaler": scaler}
    if average:
        state["average"] = average
    run = {
        "recipe": _plain(recipe),
        "seed": seed,
        "source": train.source,
        "images": len(train),
        "data": _fingerprint(train, held_out),
    }

    done = _load_checkpoint(checkpoint, run, state) if resume else []
    yield from done
    for number in range(len(done) + 1, recipe.epochs + 1):
        # Each epoch starts its own stream (dropout draws from it), so resuming needs no other.
        torch.manual_seed(int(np.random.SeedSequence([seed, number]).generate_state(1)[0]))
        network.train()
        started = time.perf_counter()
        loss_sum, correct = 0.0, 0
        epoch_batches = data.batches(
            train,
            to_numbers,
            recipe.batch_size,
            shuffle=True,
            seed=seed,
            epoch=number,
            workers=workers,
        )
        for images, labels in progress(epoch_batches, f"epoch {number}/{recipe.epochs}"):
            labels = labels.to(numbers.device, non_blocking=True)  # (B,)
            outputs = numbers.compute(network, images)  # (B, classes)
            loss = F.cross_entropy(outputs, labels, label_smoothing=recipe.label_smoothing)
            if not math.isfinite(loss.item()):
                raise _diverged(f"the loss is {loss.item()} in epoch {number}", recipe)
            optimizer.zero_grad()
            scaler.scale(loss).backward()
            scaler.step(optimizer)
            scale = scaler.get_scale()
            scaler.update()
            learning_rate = schedule.get_last_lr()[0]
            # Where fp16 overflowed, the scaler left the step out, and the schedule waits for it.
            taken = scaler.get_scale() >= scale
            if taken and schedule.last_epoch < steps - 1:
                schedule.step()
            if average:
                average.update_parameters(network)
            # Sums, not means: the last batch is shorter, yet every image counts once.
            loss_sum += loss.item() * len(labels)
            correct += (outputs.argmax(dim=1) == labels).sum().item()
        trained = time.perf_counter()

        last = number == recipe.epochs
        if last and average:
            network.load_state_dict(average.module.state_dict())
        if last and recipe.remeasure_norms:
            remeasure_norms(network, epoch_batches, numbers)
        # The last step's weights met no loss yet; a checkpoint of bad ones could not go on.
        finite = all(weights.isfinite().all() for weights in network.parameters())
        result = None
        if finite and (every_epoch or last):
            learned = average.module if average and not last else network
            predicted = predict(learned, data.batches(held_out, plain, 1000), numbers)
            finite = predicted[0].isfinite().all()
            result = score(*predicted) if finite else None
        if not finite:
            raise _diverged(f"the weights are no good numbers after epoch {number}", recipe)
        epoch = Epoch(
            number,
            learning_rate,
            Score(loss_sum / len(train), 100 * correct / len(train)),
            result,
            trained - started,
            time.perf_counter() - trained,
            os.getloadavg()[0] if hasattr(os, "getloadavg") else None,  # not on Windows
        )
        done.append(epoch)
        if checkpoint:
            _save_checkpoint(checkpoint, run, state, done)
        yield epoch


def remeasure_norms(network: nn.Module, batches: Batches, numbers: Numerics) -> None:
    """Set the averages of `network`'s batch norms to those of all `batches`, each counting once.

    While the learning rate is high, the weights move on faster than running averages follow.

    Source: Izmailov et al. 2018, "Averaging Weights Leads to Wider Optima", section 3.2,
    arXiv:1803.05407.
    """
    with numbers.autocast():
        update_bn((numbers.lay_out(images) for images, _ in batches), network)


def _diverged(what: str, recipe: Recipe) -> NotFinite:
    return NotFinite(
        f"{what}: training has diverged. "
        f"Lower peak_learning_rate ({recipe.peak_learning_rate}) or check the data."
    )


# ------------------------------------------------------------------------------- checkpoints


def _plain(recipe: Recipe) -> dict:
    """The recipe as it comes back from a file: lists for tuples."""
    return {
        name: list(value) if isinstance(value, tuple) else value
        for name, value in asdict(recipe).items()
    }


def _fingerprint(*splits: data.Split) -> str:
    """A number that another pixel, another label or another order would change."""
    digest = hashlib.sha256()
    for split in splits:
        digest.update(np.ascontiguousarray(split.images))
        digest.update(np.ascontiguousarray(split.labels))
    return digest.hexdigest()


def _save_checkpoint(path: Path, run: dict, state: dict, done: list[Epoch]) -> None:
    content = io.BytesIO()  # not straight to the file: torch does not say when a disk is full
    torch.save(
        {
            "run": run,
            "epochs": [asdict(epoch) for epoch in done],
            "state": {name: part.state_dict() for name, part in state.items()},
        },
        content,
    )
    with replacing(path) as temporary:
        temporary.write_bytes(content.getvalue())


def _load_checkpoint(path: Path, run: dict, state: dict) -> list[Epoch]:
    """Put what `path` holds into `state`; the epochs that led there."""
    content = path.read_bytes()
    try:
        # torch does not look at the check sums that it writes.
        if damaged := zipfile.ZipFile(io.BytesIO(content)).testzip():
            raise zipfile.BadZipFile(damaged)
        saved = torch.load(io.BytesIO(content), weights_only=True, map_location="cpu")  # no code
        # What was not yet noted then, or no setting yet, was as it is by default.
        before = {"data": run["data"], **saved["run"]}
        before["recipe"] = _plain(Recipe(**before["recipe"]))
        differ = [name for name in run if before.get(name) != run[name]]
        if not differ:
            for name, part in state.items():
                part.load_state_dict(saved["state"][name])
        epochs = [read_epoch(epoch) for epoch in saved["epochs"]]
    except Exception as error:  # torch names damage in many ways, and advises to run its code
        raise ValueError(
            f"{path} is no checkpoint of this program, or damaged ({type(error).__name__}). "
            "Start anew in another folder."
        ) from error
    if differ:
        raise ValueError(
            f"{path} is of another run: its {', '.join(differ)} differ. "
            "Resume with what it was started with, or start anew in another folder."
        )
    return epochs


def read_epoch(fields: dict) -> Epoch:
    """An `Epoch` again, from the dictionary that a checkpoint or a record keeps of it."""
    held_out = fields["held_out"]
    return Epoch(
        **{
            **fields,
            "train": Score(**fields["train"]),
            "held_out": Score(**held_out) if held_out else None,
        }
    )


# ---------------------------------------------------------------------- learning-rate finder


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
    numbers: Numerics | None = None,
) -> Sweep:
    """Train for up to `steps` batches while the rate climbs from `lowest` to `highest`.

    Stops once the smoothed loss is four times its best; `smoothing`, 0 to 1, is the share of the
    old average in the new (less of it for fewer steps). The steps are of SGD with the momentum of
    `recipe`, for all weights, without what else it asks of a step (Muon, weight decay, label
    smoothing, another rate for the biases of batch norms). `network` gets its weights and modes
    back, and no gradients.

    Raises: ValueError if the range is empty or `train` has fewer than `steps` batches; NotFinite
    if the very first loss is no number.
    Source: Smith 2017, "Cyclical Learning Rates", section 3.3, arXiv:1506.01186.
    """
    arguments.instance("network", network, nn.Module)
    arguments.instance("recipe", recipe, Recipe)
    arguments.instance("train", train, data.Split)
    arguments.number("lowest", lowest, 0, 1e38)
    arguments.number("highest", highest, 0, 1e38)
    if not 0 < lowest < highest:
        raise ValueError(f"lowest={lowest}, highest={highest}; 0 < lowest < highest is needed.")
    arguments.number("smoothing", smoothing, 0, 1)
    if smoothing == 1:
        raise ValueError(f"smoothing={smoothing}; it must be at least 0 and below 1.")
    arguments.whole("steps", steps, 2)
    arguments.whole("seed", seed, 0, LARGEST_SEED)
    transform = data.pipeline(recipe.augmentation, mean=recipe.mean, std=recipe.std)
    epoch_batches = data.batches(train, transform, recipe.batch_size, shuffle=True, seed=seed)
    if steps > len(epoch_batches):
        raise ValueError(
            f"steps={steps}; {len(train)} images make {len(epoch_batches)} batches of "
            f"{recipe.batch_size}: choose 2 to {len(epoch_batches)} steps."
        )
    numbers = numbers or numerics()
    keep_freed_memory()
    numbers.place(network)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    optimizer = torch.optim.SGD(
        network.parameters(), lr=lowest, momentum=recipe.momentum, nesterov=recipe.nesterov
    )
    scaler = numbers.scaler()
    learning_rates, losses, average = [], [], 0.0
    with model.modes_kept(network):
        try:
            learn_whitening(network, recipe, train)
            torch.manual_seed(seed)  # dropout draws from it
            network.train()
            for step, (images, labels) in zip(
                progress(range(steps), "learning rate"), epoch_batches, strict=False
            ):
                learning_rate = lowest * (highest / lowest) ** (step / (steps - 1))
                optimizer.param_groups[0]["lr"] = learning_rate
                outputs = numbers.compute(network, images)
                loss = F.cross_entropy(outputs, labels.to(numbers.device))
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
