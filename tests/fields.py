"""Small networks of every shape, with boxes worked out by hand: first unclipped, then clipped.

Each line says how the box comes about, along y and x, from the last layer to the first.
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Case(NamedTuple):
    """`network()` on an image of `size`: what `unit` sees, and with `clipped` of the image."""

    network: Callable[[], nn.Module]
    size: tuple[int, int]
    unit: tuple[int, int]
    box: tuple[int, int, int, int] | None
    clipped: tuple[int, int, int, int] | None = ()  # () if the same as `box`


class Call(nn.Module):
    """A function as a network, with the layers that it takes."""

    def __init__(self, function: Callable[..., Tensor], *layers: nn.Module) -> None:
        super().__init__()
        self.function, self.layers = function, nn.ModuleList(layers)

    def forward(self, image: Tensor) -> Tensor:
        return self.function(image, *self.layers)


def conv(kernel=3, **options) -> nn.Conv2d:
    """One channel in, one out."""
    return nn.Conv2d(1, 1, kernel, **options)


def up(kernel, stride=2, **options) -> nn.ConvTranspose2d:
    """A transposed convolution, one channel in, one out."""
    return nn.ConvTranspose2d(1, 1, kernel, stride, **options)


def chain(*layers: nn.Module) -> Callable[[], nn.Sequential]:
    """Makes the layers one after another."""
    return lambda: nn.Sequential(*layers)


def call(function: Callable[..., Tensor], *layers: nn.Module) -> Callable[[], Call]:
    """Makes a `Call`."""
    return lambda: Call(function, *layers)


class NonLocal(nn.Module):
    """Each position looks at all others, by hand (Wang et al. 2018), behind a 3x3 convolution."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.query, self.key, self.value = conv(), conv(1), conv(1), conv(1)

    def forward(self, image: Tensor) -> Tensor:
        features = self.conv(image)
        query, key, value = (
            layer(features).flatten(2) for layer in (self.query, self.key, self.value)
        )
        scores = query.transpose(1, 2) @ key
        return features + torch.bmm(value, scores.softmax(-1).transpose(1, 2)).view_as(features)


class Attention(nn.Module):
    """Multi-head attention over patches of 2x2, which are then laid out again."""

    def __init__(self) -> None:
        super().__init__()
        self.patches = nn.Conv2d(1, 4, 2, stride=2)
        self.attention = nn.MultiheadAttention(4, 2, batch_first=True)

    def forward(self, image: Tensor) -> Tensor:
        tokens = self.patches(image).flatten(2).transpose(1, 2)
        mixed, _ = self.attention(tokens, tokens, tokens)
        return mixed.transpose(1, 2).unflatten(2, (image.shape[2] // 2, -1))


class Gated(nn.Module):
    """Squeeze-and-excitation behind a 3x3 convolution."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.squeeze = conv(padding=1), nn.AdaptiveAvgPool2d(1)
        self.gate = nn.Sequential(nn.Conv2d(1, 1, 1), nn.Sigmoid())

    def forward(self, image: Tensor) -> Tensor:
        features = self.conv(image)
        return features * self.gate(self.squeeze(features))


def resize(**options) -> Callable[[Tensor], Tensor]:
    return lambda image: F.interpolate(image, **options)


CASES = {
    # ---------------------------------------------------------------- one layer
    # 2..4, 3..5
    "3x3": Case(chain(conv()), (9, 9), (2, 3), (2, 3, 4, 5)),
    # -1..1
    "padding": Case(chain(conv(padding=1)), (9, 9), (0, 0), (-1, -1, 1, 1), (0, 0, 1, 1)),
    # 1*2-1 = 1..3, 2*2-1 = 3..5
    "stride": Case(chain(conv(stride=2, padding=1)), (9, 9), (1, 2), (1, 3, 3, 5)),
    # 4; 4-1 = 3..5
    "1x3": Case(chain(conv((1, 3), padding=(0, 1))), (9, 9), (4, 4), (4, 3, 4, 5)),
    # 2*2-1 = 3..5; 2-1 = 1..3
    "stride 2x1": Case(chain(conv(stride=(2, 1), padding=1)), (9, 9), (2, 2), (3, 1, 5, 3)),
    # 0..2; 0..2*3
    "dilation 1x3": Case(chain(conv(dilation=(1, 3))), (9, 9), (0, 0), (0, 0, 2, 6)),
    "padding 0x2": Case(chain(conv(padding=(0, 2))), (9, 9), (1, 1), (1, -1, 3, 1), (1, 0, 3, 1)),
    "2x2 stride 2": Case(chain(conv(2, stride=2)), (8, 8), (1, 3), (2, 6, 3, 7)),
    # 4 taps pad 3: one before, two behind; 5-1 = 4..7
    "same, even": Case(chain(conv(4, padding="same")), (9, 9), (5, 5), (4, 4, 7, 7)),
    # 2*3 pad 6, half before: 5-3 = 2..8
    "same, dilated": Case(chain(conv(padding="same", dilation=3)), (9, 9), (5, 5), (2, 2, 8, 8)),
    "valid": Case(chain(conv(padding="valid")), (9, 9), (1, 0), (1, 0, 3, 2)),
    # groups look at the same pixels
    "depthwise": Case(
        lambda: nn.Sequential(nn.Conv2d(1, 4, 1), nn.Conv2d(4, 4, 3, groups=4, padding=1)),
        (9, 9),
        (4, 0),
        (3, -1, 5, 1),
        (3, 0, 5, 1),
    ),
    # unit 0 looks at pixel -1 only
    "all padding": Case(chain(conv(1, padding=1)), (5, 5), (0, 3), (-1, 2, -1, 2), None),
    # -------------------------------------------------------------- padding modes
    # -2..0 along y, of which 2, 1 and 0 are read; 3-2 = 1..3
    "reflect": Case(
        chain(conv(padding=2, padding_mode="reflect")), (7, 7), (0, 3), (-2, 1, 0, 3), (0, 1, 2, 3)
    ),
    # -2..0 along y, of which only 0 is there
    "replicate": Case(
        chain(conv(padding=2, padding_mode="replicate")),
        (7, 7),
        (0, 3),
        (-2, 1, 0, 3),
        (0, 1, 0, 3),
    ),
    # 5, 0, 1 along y: that spans the axis; 2..4
    "circular": Case(chain(conv(padding=1, padding_mode="circular")), (6, 6), (0, 3), (0, 2, 5, 4)),
    # unit 1 looks at 0, 1, 2, and 0 at 5, 0, 1; unit 2 at 1, 2, 3, and these at 0..4
    "circular twice": Case(
        chain(*[conv(padding=1, padding_mode="circular") for _ in range(2)]),
        (6, 6),
        (1, 2),
        (0, 0, 5, 4),
    ),
    # left 2 and top 1 before the convolution: 0-1 = -1..1; 0-2 = -2..0
    "ZeroPad2d": Case(
        chain(nn.ZeroPad2d((2, 0, 1, 0)), conv()), (7, 7), (0, 0), (-1, -2, 1, 0), (0, 0, 1, 0)
    ),
    # negative padding crops: 2 above, 1 left
    "crop": Case(call(lambda image: F.pad(image, (-1, -1, -2, 0))), (7, 7), (0, 0), (2, 1, 2, 1)),
    # unit 0 is a corner of the padding, -1, read as 1; 6-1 = 5
    "ReflectionPad2d": Case(
        chain(nn.ReflectionPad2d(1)), (7, 7), (0, 6), (-1, 5, -1, 5), (1, 5, 1, 5)
    ),
    # past the end, 7-1 = 6 of 0..5 is read as 5; 3-1 = 2
    "ReplicationPad2d": Case(
        chain(nn.ReplicationPad2d(1)), (6, 6), (7, 3), (6, 2, 6, 2), (5, 2, 5, 2)
    ),
    # 7-1 = 6 of 0..5 wraps round to 0; 3-1 = 2
    "CircularPad2d": Case(chain(nn.CircularPad2d(1)), (6, 6), (7, 3), (0, 2, 0, 2)),
    # ------------------------------------------------------------------- pooling
    "max pool": Case(chain(nn.MaxPool2d(3, 2, 1)), (8, 8), (0, 2), (-1, 3, 1, 5), (0, 3, 1, 5)),
    # 1 + 2*(0, 1, 2)
    "max pool dilated": Case(chain(nn.MaxPool2d(3, 1, dilation=2)), (9, 9), (1, 1), (1, 1, 5, 5)),
    # the fourth window, 3*2 = 6..8, is ceil_mode's; pixel 8 does not exist
    "ceil_mode": Case(
        chain(nn.MaxPool2d(3, 2, ceil_mode=True)), (8, 8), (3, 1), (6, 2, 8, 4), (6, 2, 7, 4)
    ),
    # without a stride, the kernel is the stride
    "avg pool": Case(chain(nn.AvgPool2d(2)), (8, 8), (2, 1), (4, 2, 5, 3)),
    # 1*2-1 = 1..3; 0-1 = -1..1
    "avg pool padded": Case(
        chain(nn.AvgPool2d(3, 2, 1)), (8, 8), (1, 0), (1, -1, 3, 1), (1, 0, 3, 1)
    ),
    "avg pool 3x1": Case(chain(nn.AvgPool2d((3, 1), (2, 1))), (9, 9), (2, 1), (4, 1, 6, 1)),
    # 7 over 3: 0..2, 2..4, 4..6
    "adaptive 7 to 3": Case(chain(nn.AdaptiveAvgPool2d(3)), (7, 7), (1, 2), (2, 4, 4, 6)),
    # 5 over 3: 0..1, 1..3, 3..4
    "adaptive 5 to 3": Case(chain(nn.AdaptiveMaxPool2d((3, 5))), (5, 5), (1, 4), (1, 4, 3, 4)),
    # 2 over 4: 0, 0, 1, 1; before it 1..3 and 0..2
    "adaptive grows": Case(chain(conv(), nn.AdaptiveAvgPool2d(4)), (4, 4), (3, 0), (1, 0, 3, 2)),
    # units 0..5 and 0..7 of a padded 3x3
    "global": Case(
        chain(conv(padding=1), nn.AdaptiveAvgPool2d(1)),
        (6, 8),
        (0, 0),
        (-1, -1, 6, 8),
        (0, 0, 5, 7),
    ),
    # -------------------------------------------------------------- transposed
    # (3+1-j)/2 is whole for j = 0, 2: 2 and 1; (4+1-j)/2 for j = 1: 2
    "transposed": Case(chain(up(3, padding=1, output_padding=1)), (4, 4), (3, 4), (1, 2, 2, 2)),
    # (0+1-j)/2 for j = 1, 3: 0 and -1; (5+1-j)/2 for j = 0, 2: 3 and 2
    "transposed 4x4": Case(chain(up(4, padding=1)), (4, 4), (0, 5), (-1, 2, 0, 3), (0, 2, 0, 3)),
    # 4 and 4-3
    "transposed dilated": Case(chain(up(2, 1, dilation=3)), (5, 5), (4, 4), (1, 1, 4, 4)),
    # 2 and 1 divide by 3 to no whole number
    "transposed gap": Case(chain(up(2, 3)), (3, 3), (2, 0), None),
    # 3 looks at 2, 3, 4, the even ones at 1 and 2; 2 at 1, 2, 3, of which 2 at 1
    "gap, then 3x3": Case(chain(up(1), conv(padding=1)), (4, 4), (3, 2), (1, 1, 2, 1)),
    # output_padding is the last unit: (7+1-j)/2 for j = 0, 2: 4 (beyond) and 3
    "output padding": Case(
        chain(up(3, padding=1, output_padding=1)), (4, 4), (7, 0), (3, 0, 4, 0), (3, 0, 3, 0)
    ),
    # ------------------------------------------------------------- up-sampling
    # 5/2 = 2, 4/2 = 2
    "nearest": Case(chain(nn.Upsample(scale_factor=2)), (6, 6), (5, 4), (2, 2, 2, 2)),
    # 0, 7/3 = 2, 14/3 = 4
    "nearest 7 to 3": Case(call(resize(size=(3, 3))), (7, 7), (1, 2), (2, 4, 2, 4)),
    # 4/3 = 1, and 0..2; 0, and -1..1
    "nearest after 3x3": Case(
        chain(conv(padding=1), nn.Upsample(scale_factor=3)),
        (4, 4),
        (4, 0),
        (0, -1, 2, 1),
        (0, 0, 2, 1),
    ),
    # 3.5/2 - 0.5 = 1.25 lies in 1..2; 0.5/2 - 0.5 = -0.25 in -1..0
    "bilinear": Case(
        call(resize(scale_factor=2, mode="bilinear")), (4, 4), (3, 0), (1, -1, 2, 0), (1, 0, 2, 0)
    ),
    # 1.5*2 - 0.5 = 2.5; 3.5*2 - 0.5 = 6.5
    "bilinear 8 to 4": Case(
        call(resize(size=(4, 4), mode="bilinear")), (8, 8), (1, 3), (2, 6, 3, 7)
    ),
    # 1.5*3 - 0.5 = 4 exactly; 7 exactly: no neighbours
    "bilinear 9 to 3": Case(
        call(resize(size=(3, 3), mode="bilinear")), (9, 9), (1, 2), (4, 7, 4, 7)
    ),
    # 2/2 = 1 exactly; 3/2 lies in 1..2
    "align_corners": Case(
        call(resize(size=(5, 5), mode="bilinear", align_corners=True)),
        (3, 3),
        (2, 3),
        (1, 1, 1, 2),
    ),
    # 4.5/2 - 0.5 = 1.75: two on either side
    "bicubic": Case(call(resize(scale_factor=2, mode="bicubic")), (6, 6), (4, 4), (0, 0, 3, 3)),
    # a 5-pixel axis at scale 1.5 has 7 units; (5.5)/1.5 - 0.5 = 3.17, where 5/7 would give 3.43;
    # unit 4: 4.5/1.5 - 0.5 = 2.5
    "scale given": Case(
        call(resize(scale_factor=1.5, mode="bilinear")), (5, 5), (5, 4), (3, 2, 4, 3)
    ),
    # channels become neighbours: 5/2 = 2, and 2..4; 0, and 0..2
    "pixel shuffle": Case(
        lambda: nn.Sequential(nn.Conv2d(1, 4, 3), nn.PixelShuffle(2)), (6, 6), (5, 0), (2, 0, 4, 2)
    ),
    "pixel unshuffle": Case(chain(nn.PixelUnshuffle(2)), (6, 6), (2, 0), (4, 0, 5, 1)),
    # ---------------------------------------------------------------- two layers
    "3x3 twice": Case(chain(conv(), conv()), (9, 9), (0, 4), (0, 4, 4, 8)),
    # 8 looks at 8-2 = 6..10, these at 6*2-1 = 11..21
    "stride, dilation": Case(
        chain(conv(stride=2, padding=1), conv(dilation=2, padding=2)),
        (32, 32),
        (8, 8),
        (11, 11, 21, 21),
    ),
    # 8 looks at 8*2-1 = 15..17, these at 15-2 = 13..19
    "dilation, stride": Case(
        chain(conv(dilation=2, padding=2), conv(stride=2, padding=1)),
        (32, 32),
        (8, 8),
        (13, 13, 19, 19),
    ),
    # 3 looks at 2, 3, 4, these at pixels 4, 6 and 8; the image ends with 7, which no one reads
    "never read": Case(
        chain(conv(1, stride=2), conv(padding=1)), (8, 8), (3, 1), (4, 0, 8, 4), (4, 0, 6, 4)
    ),
    # three times +-2
    "dilations 2, 2, 2": Case(
        chain(*[conv(dilation=2) for _ in range(3)]), (13, 13), (0, 0), (0, 0, 12, 12)
    ),
    # ------------------------------------------------------------------- branches
    "skip": Case(
        call(lambda x, a: x + a(x), conv(padding=1)), (9, 9), (4, 8), (3, 7, 5, 9), (3, 7, 5, 8)
    ),
    # 2..4 or 2
    "skip, shifted": Case(
        call(lambda x, a: a(x) + x[:, :, :-2, :-2], conv()), (9, 9), (2, 2), (2, 2, 4, 4)
    ),
    # 3..5 or 3+4 = 7..9: two fields of 3 make one of 7
    "3 and 3 make 7": Case(
        call(lambda x, a, b: a(x[:, :, :-4, :-4]) + b(x[:, :, 4:, 4:]), conv(), conv()),
        (12, 12),
        (3, 0),
        (3, 0, 9, 6),
    ),
    # +-1 or +-3
    "concatenated": Case(
        call(
            lambda x, a, b: torch.cat([a(x), b(x)], dim=1),
            conv(padding=1),
            conv(padding=3, dilation=3),
        ),
        (11, 11),
        (5, 6),
        (2, 3, 8, 9),
    ),
    "cross": Case(
        call(
            lambda x, a, b: a(x) + b(x), conv((1, 5), padding=(0, 2)), conv((5, 1), padding=(2, 0))
        ),
        (9, 9),
        (4, 3),
        (2, 1, 6, 5),
    ),
    # 5/2 = 2 looks at 2*2-1 = 3..5, the skip at 5; 6/2 = 3 at 5..7
    "down and up": Case(
        call(lambda x, a: F.interpolate(a(x), scale_factor=2) + x, conv(stride=2, padding=1)),
        (8, 8),
        (5, 6),
        (3, 5, 5, 7),
    ),
    # 5: (5-1)/2 = 2 looks at 1..3, these at 2..7; the skip at 4..6
    # 0: 0 looks at -1..1, these at -2..3; the skip at -1..1
    "u-net": Case(
        call(
            lambda x, a, b, c: torch.cat([b(a(F.max_pool2d(x, 2))), c(x)], 1),
            conv(padding=1),
            up(2),
            conv(padding=1),
        ),
        (10, 10),
        (5, 0),
        (2, -2, 7, 3),
        (2, 0, 7, 3),
    ),
    # the transposed branch sees nothing along x (3 is odd) and its y = 3 must not count;
    # the other: (6-2)*4/7 = 2, 3*4/7 = 1
    "gap beside a map": Case(
        call(lambda x, a: a(x) + F.pad(F.interpolate(x, size=7), (0, 0, 2, -2)), up(1)),
        (4, 4),
        (6, 3),
        (2, 1, 2, 1),
    ),
    # ---------------------------------------------------------------- data moves
    # 2*2 = 4; 1 + 2*1 = 3
    "slices": Case(call(lambda x: x[:, :, ::2, 1::2]), (8, 8), (2, 1), (4, 3, 4, 3)),
    "ellipsis": Case(call(lambda x: x[..., 1:, -3:]), (8, 8), (2, 1), (3, 6, 3, 6)),
    # a column: 8-2 = 6; the other axis is left: 3
    "one column": Case(call(lambda x: x[:, :, :, -2:-1]), (8, 8), (3, 0), (3, 6, 3, 6)),
    # written in place, and the result dropped
    "in place": Case(
        call(lambda x, a: (y := x * 2, y.add_(a(x)))[0], conv(padding=1)),
        (6, 6),
        (2, 2),
        (1, 1, 3, 3),
    ),
    # there and back: channels last
    "permute": Case(
        call(lambda x, a: F.layer_norm(a(x).permute(0, 2, 3, 1), (1,)).permute(0, 3, 1, 2), conv()),
        (6, 6),
        (1, 2),
        (1, 2, 3, 4),
    ),
    "flatten and back": Case(
        call(lambda x, a: a(x).flatten(2).relu().view(-1, 1, 4, 4), conv()),
        (6, 6),
        (3, 1),
        (3, 1, 5, 3),
    ),
    # half of the channels: 4-1 = 3..5; 0-1 = -1..1
    "chunk": Case(
        call(
            lambda x, a, b: b(a(x).chunk(2, dim=1)[1]),
            nn.Conv2d(1, 4, 1),
            nn.Conv2d(2, 1, 3, padding=1),
        ),
        (9, 9),
        (4, 0),
        (3, -1, 5, 1),
        (3, 0, 5, 1),
    ),
    # one channel of three is looked at by 3x3, the others stay: 2..4
    "split": Case(
        call(
            lambda x, a, b: (y := a(x).split([1, 2], dim=1), b(y[0]) + y[1][:, :, 1:-1, 1:-1])[1],
            nn.Conv2d(1, 3, 1),
            conv(),
        ),
        (6, 8),
        (2, 5),
        (2, 5, 4, 7),
    ),
    # turned: height is now in the last dimension, where nothing looks along it
    "channel shuffle": Case(
        lambda: nn.Sequential(nn.Conv2d(1, 4, 3), nn.ChannelShuffle(2), nn.Conv2d(4, 4, 1)),
        (6, 6),
        (0, 2),
        (0, 2, 2, 4),
    ),
    # ------------------------------------------------------------------ everything
    "flatten, linear": Case(
        lambda: nn.Sequential(conv(), nn.Flatten(), nn.Linear(16, 3)), (6, 6), (0, 0), (0, 0, 5, 5)
    ),
    # 1..3 down to row 5 and column 7 of a padded 3x3
    "softmax over x": Case(
        call(lambda x, a: a(x).softmax(dim=-1), conv(padding=1)),
        (6, 8),
        (2, 1),
        (1, -1, 3, 8),
        (1, 0, 3, 7),
    ),
    "mean over y": Case(call(lambda x: x.mean(dim=2, keepdim=True)), (6, 8), (0, 3), (0, 3, 5, 3)),
    "group norm": Case(lambda: nn.GroupNorm(1, 1), (4, 5), (1, 1), (0, 0, 3, 4)),
    "gate": Case(Gated, (6, 7), (2, 2), (-1, -1, 6, 7), (0, 0, 5, 6)),
    "non-local": Case(NonLocal, (5, 6), (1, 2), (0, 0, 4, 5)),
    "attention": Case(Attention, (4, 6), (0, 1), (0, 0, 3, 5)),
    # a gate for every position, from mean and maximum over channels: 2-1 = 1..3
    "spatial gate": Case(
        call(
            lambda x, a: x * a(torch.cat([x.mean(1, keepdim=True), x.max(1, keepdim=True)[0]], 1)),
            nn.Conv2d(2, 1, 3, padding=1),
        ),
        (6, 6),
        (2, 2),
        (1, 1, 3, 3),
    ),
    # channels last, and mixed by a matrix
    "linear over channels": Case(
        lambda: Call(
            lambda x, a, b: b(a(x).permute(0, 2, 3, 1)).permute(0, 3, 1, 2),
            nn.Conv2d(1, 2, 3),
            nn.Linear(2, 3),
        ),
        (6, 6),
        (1, 2),
        (1, 2, 3, 4),
    ),
    # a map from a vector, then 3x3: all of it
    "decoder": Case(
        lambda: nn.Sequential(
            nn.Flatten(), nn.Linear(16, 16), nn.Unflatten(1, (1, 4, 4)), conv(padding=1)
        ),
        (4, 4),
        (0, 2),
        (0, 0, 3, 3),
    ),
}
