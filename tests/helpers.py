"""A network that learns in a moment, and how it computes in the tests."""

from torch import nn

from cifarlab import engine, model

FP32 = engine.Numerics("cpu", "fp32", "channels_last")


class Tiny(nn.Sequential):
    """960 numbers, with batch norm, dropout and every kind of convolution but the dilated."""

    def __init__(self, *, dropout: float = 0.2) -> None:
        super().__init__(
            nn.AvgPool2d(4),  # (N, 3, 8, 8)
            model.ConvBlock(3, 8, dropout=dropout, padding_mode="replicate"),
            model.DepthwiseSeparableConv(8, 32, dropout=dropout),
            nn.AdaptiveAvgPool2d(1),
            nn.Conv2d(32, 10, 1, bias=False),
            nn.Flatten(),
        )
