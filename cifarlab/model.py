"""Blocks and networks: which numbers a convolution mixes, and what that costs.

Every network here is fully convolutional: no map is flattened, and all places are pooled before the
last layer, a 1x1 convolution, so that it takes images of any size. On pooled maps that is a fully
connected layer; as a convolution it can be moved before the pooling, for a map of each class.
"""

import inspect
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Literal, get_args

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from cifarlab import _arguments as arguments

PaddingMode = Literal["zeros", "reflect", "replicate", "circular"]
PADDING_MODES = get_args(PaddingMode)


def _check(
    in_channels: int, out_channels: int, dropout: float, padding_mode: str, dilation: int = 1
) -> None:
    """Refuse what a block could only stumble over.

    Raises: TypeError or ValueError naming the argument.
    """
    arguments.whole("in_channels", in_channels, 1, 1_000_000)
    arguments.whole("out_channels", out_channels, 1, 1_000_000)
    arguments.number("dropout", dropout, 0, 1)
    arguments.one_of("padding_mode", padding_mode, PADDING_MODES)
    arguments.whole("dilation", dilation, 1, 10_000)


class ConvBlock(nn.Sequential):
    """A 3x3 convolution that keeps height and width, batch norm, dropout and ReLU.

    (N, in_channels, H, W) -> (N, out_channels, H, W); `dropout` is the chance, 0 to 1, that a
    whole channel of an image is set to zero in training.

    Source: batch norm, Ioffe and Szegedy 2015, arXiv:1502.03167; dropout of whole channels,
    Tompson et al. 2015, arXiv:1411.4280. Lesson: Train under 200,000 parameters.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        dropout: float = 0.0,
        padding_mode: PaddingMode = "zeros",
    ) -> None:
        _check(in_channels, out_channels, dropout, padding_mode)
        super().__init__(
            # No bias: the batch norm behind it subtracts the mean, and any bias with it.
            nn.Conv2d(
                in_channels, out_channels, 3, padding=1, padding_mode=padding_mode, bias=False
            ),
            nn.BatchNorm2d(out_channels),
            nn.Dropout2d(dropout),
            nn.ReLU(),
        )


class DepthwiseSeparableConv(nn.Sequential):
    """A 3x3 convolution in two steps: each channel by itself, then a 1x1 mix of the channels.

    (N, in_channels, H, W) -> (N, out_channels, H, W), for 9 * in + in * out weights where the
    dense 3x3 convolution has 9 * in * out; batch norm, dropout and ReLU follow each step.

    Source: Howard et al. 2017, "MobileNets", section 3.1, arXiv:1704.04861.
    Lesson: Depthwise separable convolutions.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        dropout: float = 0.0,
        padding_mode: PaddingMode = "zeros",
    ) -> None:
        _check(in_channels, out_channels, dropout, padding_mode)
        super().__init__(
            nn.Conv2d(
                in_channels,
                in_channels,
                3,
                padding=1,
                padding_mode=padding_mode,
                groups=in_channels,  # depthwise: as many groups as channels
                bias=False,
            ),
            nn.BatchNorm2d(in_channels),
            nn.Dropout2d(dropout),
            nn.ReLU(),
            nn.Conv2d(in_channels, out_channels, 1, bias=False),  # pointwise
            nn.BatchNorm2d(out_channels),
            nn.Dropout2d(dropout),
            nn.ReLU(),
        )


class DilatedConv(nn.Conv2d):
    """A 3x3 convolution whose taps lie `dilation` pixels apart; height and width stay.

    (N, in_channels, H, W) -> (N, out_channels, H, W). It reaches 2 * dilation + 1 pixels per
    axis and has the weights of any 3x3 convolution.

    Source: Yu and Koltun 2016, section 2, arXiv:1511.07122.
    Lesson: Dilated convolutions.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        dilation: int = 2,
        padding_mode: PaddingMode = "zeros",
    ) -> None:
        _check(in_channels, out_channels, 0.0, padding_mode, dilation)
        super().__init__(
            in_channels,
            out_channels,
            3,
            padding=dilation,
            dilation=dilation,
            padding_mode=padding_mode,
            bias=False,
        )


def polyphase_conv2d(
    images: Tensor, weight: Tensor, *, dilation: int, padding: int = 0, groups: int = 1
) -> Tensor:
    """`F.conv2d` with this dilation, by one without: the same numbers, but for rounding.

    Every `dilation`-th pixel of every `dilation`-th row makes a small image, in which the taps are
    neighbours. All `dilation**2` of them are convolved as one batch, then put together again.
    (N, in_channels, H, W) -> (N, out_channels, H', W'); `padding` pixels of zeros on each side.
    On a CPU it can make a training step of a depthwise convolution faster, not of a dense one:
    `benchmarks/dilation.py`.

    Raises: TypeError or ValueError if `dilation` is no whole number above 0, or `padding` not a
    multiple of it.
    Source: Chen et al. 2018, "DeepLab", section 3.1, arXiv:1606.00915.
    Lesson: Dilated convolutions.
    """
    arguments.whole("dilation", dilation, 1)
    if padding % dilation:
        raise ValueError(
            f"padding {padding} is not a multiple of dilation {dilation}. Pad the images before, "
            "with torch.nn.functional.pad, and leave padding out."
        )
    batch, channels, height, width = images.shape
    rows, columns = -(-height // dilation), -(-width // dilation)  # of a small image, rounded up
    if rows * dilation > height or columns * dilation > width:
        images = F.pad(images, (0, columns * dilation - width, 0, rows * dilation - height))
    phases = images.unflatten(3, (columns, dilation)).unflatten(2, (rows, dilation))
    # Channels last, so that what is moved about are whole pixels.
    phases = phases.permute(0, 3, 5, 2, 4, 1).reshape(-1, rows, columns, channels)
    phases = F.conv2d(
        phases.permute(0, 3, 1, 2), weight, padding=padding // dilation, groups=groups
    )
    channels, rows, columns = phases.shape[1:]
    outputs = phases.unflatten(0, (batch, dilation, dilation)).permute(0, 4, 1, 5, 2, 3)
    outputs = outputs.reshape(batch, rows * dilation, columns * dilation, channels)
    height += 2 * padding - dilation * (weight.shape[2] - 1)
    width += 2 * padding - dilation * (weight.shape[3] - 1)
    return outputs.permute(0, 3, 1, 2)[:, :, :height, :width]


class SkipBlock(nn.Module):
    """Dense, depthwise separable, then dilated convolution, added to what came in.

    (N, in_channels, H, W) -> (N, out_channels, H, W). The skip is the input itself, or a 1x1
    convolution of it where the number of channels changes.

    Source: the skip, He et al. 2016, section 3, arXiv:1512.03385.
    Lesson: Train under 200,000 parameters.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        dropout: float = 0.0,
        padding_mode: PaddingMode = "zeros",
    ) -> None:
        _check(in_channels, out_channels, dropout, padding_mode)
        super().__init__()
        self.conv1 = ConvBlock(in_channels, in_channels, dropout=dropout, padding_mode=padding_mode)
        self.conv2 = DepthwiseSeparableConv(
            in_channels, out_channels, dropout=dropout, padding_mode=padding_mode
        )
        self.conv3 = DilatedConv(out_channels, out_channels, padding_mode=padding_mode)
        self.norm3 = nn.BatchNorm2d(out_channels)
        self.drop3 = nn.Dropout2d(dropout)
        self.downsampler = (
            None
            if in_channels == out_channels
            else nn.Conv2d(in_channels, out_channels, 1, bias=False)
        )

    def forward(self, images: Tensor) -> Tensor:
        residual = self.drop3(self.norm3(self.conv3(self.conv2(self.conv1(images)))))
        skip = images if self.downsampler is None else self.downsampler(images)
        return torch.relu(residual + skip)


class SkipNet(nn.Module):
    """The course's running example: 163,744 parameters, no stride, a receptive field of 35 pixels.

    (N, 3, H, W) -> (N, classes) log-probabilities; 165.6 million multiply-adds per 32x32 image.

    Lesson: Train under 200,000 parameters.
    """

    def __init__(
        self, *, classes: int = 10, dropout: float = 0.0, padding_mode: PaddingMode = "replicate"
    ) -> None:
        arguments.whole("classes", classes, 1, 1_000_000)
        super().__init__()
        options: dict[str, Any] = {"dropout": dropout, "padding_mode": padding_mode}
        self.conv0 = ConvBlock(3, 16, **options)
        self.conv1 = SkipBlock(16, 32, **options)
        self.conv2 = SkipBlock(32, 32, **options)
        self.conv3 = SkipBlock(32, 64, **options)
        self.conv4 = SkipBlock(64, 64, **options)
        self.trans = nn.Sequential(
            nn.AdaptiveAvgPool2d(1),
            nn.Conv2d(64, classes, 1, bias=False),
            nn.Flatten(),
            nn.LogSoftmax(dim=1),
        )

    def forward(self, images: Tensor) -> Tensor:
        features = self.conv0(images)  # (N, 16, H, W)
        features = self.conv2(self.conv1(features))  # (N, 32, H, W)
        features = self.conv4(self.conv3(features))  # (N, 64, H, W)
        return self.trans(features)


class Whitening(nn.Conv2d):
    """A frozen 2x2 convolution to 24 maps: 12 unrelated ones, about as strong, and their negatives.

    (N, 3, H, W) -> (N, 24, H - 1, W - 1): how much of each of the 12 principal components of 2x2
    pixels is there, then the same with the other sign, which a ReLU would lose. Random until
    `learn` has seen images; training leaves it alone.

    Source: Jordan 2024, "94% on CIFAR-10 in 3.29 Seconds", section 3.2, arXiv:2404.00498.
    Lesson: Train under 200,000 parameters.
    """

    def __init__(self) -> None:
        super().__init__(3, 24, 2, bias=False)
        self.weight.requires_grad_(False)

    @torch.no_grad()
    def learn(self, images: Tensor) -> None:
        """Take the principal components from `images` (N, 3, H, W), normalised.

        Raises: TypeError or ValueError if they are no such array.
        """
        arguments.shaped("images", images, Tensor, ("N", 3, "H", "W"), "float32")
        patches = F.unfold(images, 2).movedim(1, 2).flatten(end_dim=1).double()  # (patches, 12)
        variances, directions = torch.linalg.eigh(patches.T @ patches / len(patches))
        # The small constant keeps components that hardly occur from becoming noise.
        components = (directions / (variances + 5e-4).sqrt()).T.view(12, 3, 2, 2)
        self.weight.copy_(torch.cat([components, -components]))


class DilatedDepthwiseConv(nn.Conv2d):
    """A 3x3 depthwise convolution with dilation 2; height and width stay.

    (N, channels, H, W) -> the same. It trains in its polyphase form: the same numbers, and on a
    CPU a fraction of the time (`benchmarks/dilation.py`).

    Lesson: Dilated convolutions.
    """

    def __init__(self, channels: int) -> None:
        super().__init__(channels, channels, 3, padding=2, dilation=2, groups=channels, bias=False)

    def forward(self, images: Tensor) -> Tensor:
        if not self.training:
            return super().forward(images)
        return polyphase_conv2d(images, self.weight, dilation=2, padding=2, groups=self.groups)


KINDS = ("dense", "dilated", "separable", "dilated separable", "separable 5x5")


class Residual(nn.Module):
    """Two convolutions of the `kinds` named, with batch norm, added to what came in.

    (N, channels, H, W) -> the same. A separable convolution here has nothing between its depthwise
    and its pointwise step; "dilated" is dilation 2.

    Raises: ValueError if they are not two, or there is no such kind.
    Source: He et al. 2016, section 3, arXiv:1512.03385.
    Lesson: Train under 200,000 parameters.
    """

    def __init__(self, channels: int, kinds: Sequence[str]) -> None:
        if not isinstance(kinds, list | tuple) or len(kinds) != 2:
            raise ValueError(f"kinds={arguments.shown(kinds)}; give two, of: {', '.join(KINDS)}.")
        super().__init__()
        self.convs = nn.Sequential(
            *convolution(kinds[0], channels), nn.ReLU(), *convolution(kinds[1], channels)
        )

    def forward(self, images: Tensor) -> Tensor:
        return torch.relu(images + self.convs(images))


def convolution(
    kind: str, channels: int, in_channels: int | None = None, stride: int = 1
) -> nn.Sequential:
    """A convolution of one of `KINDS`, 3x3 unless that says 5x5, and its batch norm.

    (N, in_channels, H, W) -> (N, channels, H / stride, W / stride), rounded up; `in_channels` is
    `channels` where it is not given.

    Raises: TypeError or ValueError if there is no such kind.
    Lesson: Dilated versus depthwise separable.
    """
    arguments.one_of("kind", kind, KINDS)
    in_channels = in_channels or channels
    size = 5 if "5x5" in kind else 3
    dilation = 2 if "dilated" in kind else 1
    options: dict[str, Any] = {
        "stride": stride,
        "padding": dilation * (size // 2),
        "dilation": dilation,
        "bias": False,
    }
    layers: list[nn.Module]
    if kind == "dilated separable" and stride == 1:
        layers = [DilatedDepthwiseConv(in_channels)]
    elif "separable" in kind:
        layers = [nn.Conv2d(in_channels, in_channels, size, groups=in_channels, **options)]
    else:
        layers = [nn.Conv2d(in_channels, channels, size, **options)]
    if "separable" in kind:
        layers.append(nn.Conv2d(in_channels, channels, 1, bias=False))
    return nn.Sequential(*layers, fast_norm(channels))


def fast_norm(channels: int) -> nn.BatchNorm2d:
    """Batch norm whose running statistics follow a short training: momentum 0.4, not 0.1."""
    return nn.BatchNorm2d(channels, momentum=0.4)


class FastNet(nn.Module):
    """A network that learns in a few minutes of a CPU: small maps early, few slow operations.

    With other options it is that of the recipe `accurate`, which keeps all pixels for longer.

    (N, 3, H, W) -> (N, classes) log-probabilities. Whitening, then two stages, each behind a 3x3
    convolution: `widths` are their channels, `strides` and `entries` the strides and the kinds (of
    `KINDS`) of that first convolution, `early` and `late` the kinds of the others, two to a
    residual block. As it stands: 157,248 parameters.

    Raises: TypeError or ValueError if an argument is none of what is allowed.
    Lesson: Train under 200,000 parameters.
    """

    def __init__(
        self,
        *,
        classes: int = 10,
        widths: tuple[int, int] = (48, 112),
        early: Sequence[str] = ("dense", "dilated"),
        late: Sequence[str] = ("separable",) * 4,
        strides: tuple[int, int] = (2, 2),
        entries: tuple[str, str] = ("dense", "dense"),
    ) -> None:
        arguments.whole("classes", classes, 1, 1_000_000)
        widths = arguments.pair("widths", widths, 1, 1_000_000)
        strides = arguments.pair("strides", strides, 1, 1_000)
        if not isinstance(entries, list | tuple) or len(entries) != 2:
            raise ValueError(
                f"entries={arguments.shown(entries)}; give two kinds of convolution, of: "
                f"{', '.join(KINDS)}."
            )
        super().__init__()
        self.whitening = Whitening()
        self.early = stage(24, widths[0], early, strides[0], entries[0])
        self.late = stage(widths[0], widths[1], late, strides[1], entries[1])
        self.head = nn.Sequential(
            nn.AdaptiveAvgPool2d(1),
            nn.Conv2d(widths[1], classes, 1, bias=False),
            nn.Flatten(),
            nn.LogSoftmax(dim=1),
        )

    def forward(self, images: Tensor) -> Tensor:
        features = torch.relu(self.whitening(images))  # (N, 24, H - 1, W - 1)
        features = self.late(self.early(features))  # (N, widths[1], H / 4, W / 4), strides 2, 2
        return self.head(features)


def stage(
    in_channels: int, channels: int, kinds: Sequence[str], stride: int, entry: str
) -> nn.Sequential:
    """A convolution of kind `entry`, then residual blocks of `kinds`.

    (N, in_channels, H, W) -> (N, channels, H / stride, W / stride), rounded up.
    """
    if not isinstance(kinds, list | tuple) or len(kinds) % 2:
        raise ValueError(
            f"kinds={arguments.shown(kinds)}; give a list of an even number of kinds, for a "
            "residual block takes two."
        )
    return nn.Sequential(
        *convolution(entry, channels, in_channels, stride),
        nn.ReLU(),
        *(Residual(channels, pair) for pair in zip(kinds[::2], kinds[1::2], strict=True)),
    )


NETWORKS: dict[str, Callable[..., nn.Module]] = {"fast": FastNet, "skipnet": SkipNet}


def names() -> list[str]:
    """Names of the networks that `create` makes."""
    return sorted(NETWORKS)


def options_of(name: str) -> list[str]:
    """Names of the options that `create` takes for the network called `name`."""
    return list(inspect.signature(NETWORKS[name]).parameters)


def create(name: str, **options) -> nn.Module:
    """The network called `name`, with fresh random weights from torch's global generator.

    `options` go to its class, such as `classes=100`.

    Raises: ValueError if there is no network of that name, TypeError if it has no such option.
    """
    if not isinstance(name, str) or name not in NETWORKS:
        raise ValueError(
            f"no network is called {arguments.shown(name)}; choose one of: {', '.join(names())}."
        )
    known = options_of(name)
    if unknown := sorted(set(options) - set(known)):
        raise TypeError(
            f"the network {name!r} has no {', '.join(unknown)}; its options: {', '.join(known)}."
        )
    return NETWORKS[name](**options)


def count_parameters(network: nn.Module) -> int:
    """Numbers that `network` holds, frozen ones included, running statistics not.

    Lesson: Convolution arithmetic.
    """
    arguments.instance("network", network, nn.Module)
    return sum(parameter.numel() for parameter in network.parameters())


@contextmanager
def modes_kept(network: nn.Module) -> Iterator[None]:
    """Each part of `network` is in training or in evaluation mode afterwards as it was before."""
    modes = {part: part.training for part in network.modules()}
    try:
        yield
    finally:
        for part, training in modes.items():  # `train` would set all parts alike
            part.training = training


def count_multiply_adds(network: nn.Module, size: tuple[int, int] = (32, 32)) -> int:
    """Multiply-adds of all convolutions and matrix products for one RGB image of `size` (H, W).

    Batch norm, activations and pooling, under one per cent of the running example, do not count.

    Raises: TypeError or ValueError if `size` is not two whole numbers above 0.
    Lesson: Convolution arithmetic.
    """
    arguments.instance("network", network, nn.Module)
    size = arguments.pair("size", size, 1, 10_000)
    like = next(network.parameters(), torch.zeros(()))
    image = torch.zeros(1, 3, *size, device=like.device, dtype=like.dtype)
    with modes_kept(network), torch.no_grad(), FlopCounterMode(display=False) as counter:
        network.eval()(image)  # batch norm must not learn from an empty image
    return counter.get_total_flops() // 2  # a multiply-add is two operations
