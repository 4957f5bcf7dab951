"""What dilation costs: the same weights and multiply-adds, the taps further apart.

    OMP_NUM_THREADS=1 OMP_WAIT_POLICY=PASSIVE python -m benchmarks.dilation [--rounds 9]

Dense and depthwise 3x3 convolutions, forward and as a training step (forward and backward), each
also in its polyphase form. One thread of the CPU, in seconds of the processor rather than on the
clock, all ways in turn: so other work on the machine disturbs little. The medians go to
`cifarlab/records/shipped/benchmarks/dilation.json`, and from there into the lesson *Dilated
convolutions*.
"""

import argparse
import functools
import itertools
import time

import torch
from torch import Tensor, nn

from benchmarks import machine
from cifarlab import model
from cifarlab.numerics import MEMORY_FORMATS, Numerics

BATCH, CHANNELS, SIZE = 32, 64, 32
GROUPS = {"dense": 1, "depthwise": CHANNELS}
FORMS = {"plain": (1,), "dilated": (2, 4), "polyphase": (2, 4)}  # and their dilations


class Polyphase(nn.Conv2d):
    """The same layer, computed by `model.polyphase_conv2d`."""

    def forward(self, images: Tensor) -> Tensor:
        return model.polyphase_conv2d(
            images,
            self.weight,
            dilation=self.dilation[0],
            padding=self.padding[0],
            groups=self.groups,
        )


def runner(layer: nn.Module, numerics: Numerics):
    """A function that runs `layer` once, with or without its backward pass, and times it."""
    images = torch.randn(BATCH, CHANNELS, SIZE, SIZE)
    images = images.to(memory_format=MEMORY_FORMATS[numerics.memory_format])
    images.requires_grad_()  # as inside a network
    pull = torch.randn_like(images)
    numerics.place(layer)

    def run(backward: bool) -> float:
        images.grad = layer.weight.grad = None
        started = time.process_time()
        with torch.set_grad_enabled(backward):
            outputs = numerics.compute(layer, images)
        if backward:
            outputs.backward(pull)
        return time.process_time() - started

    return run


def main() -> None:
    """Measure, print, and write the record."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=9)
    rounds = parser.parse_args().rounds
    torch.manual_seed(0)
    numerics = machine.one_thread()
    here = machine.fields(numerics)  # before our own load

    runs = {}
    for (kind, groups), (form, dilations) in itertools.product(GROUPS.items(), FORMS.items()):
        for dilation in dilations:
            layer = (Polyphase if form == "polyphase" else nn.Conv2d)(
                CHANNELS, CHANNELS, 3, 1, dilation, dilation, groups, bias=False
            )
            runs[kind, form, dilation] = runner(layer, numerics)
    ways = itertools.product(runs, (False, True))
    seconds = machine.measured(
        {(way, backward): functools.partial(runs[way], backward) for way, backward in ways}, rounds
    )

    rows = []
    for way in runs:
        forward, step = (1000 * seconds[way, backward] for backward in (False, True))
        rows.append(
            dict(zip(("layer", "form", "dilation"), way, strict=True))
            | {"forward_ms": round(forward, 2), "step_ms": round(step, 2)}
        )
        print(f"{way[0]:10} {way[1]:10} {way[2]}  {forward:7.1f} ms  {step:7.1f} ms")
    record = {
        **here,
        "rounds": rounds,
        "images": [BATCH, CHANNELS, SIZE, SIZE],
        "rows": rows,
    }
    machine.save("dilation", record)


if __name__ == "__main__":
    main()
