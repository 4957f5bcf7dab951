"""Where and in what precision a network computes: chosen once, for training and evaluation alike.

Lesson: Train under 200,000 parameters.
"""

import ctypes
import os
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from cifarlab import _arguments as arguments

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
        # torch takes both at once, and has only forgotten to say so in its types.
        memory_format = MEMORY_FORMATS[self.memory_format]
        return network.to(self.device, memory_format=memory_format)  # type: ignore[call-overload]

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


def fastest(
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
