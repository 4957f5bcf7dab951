"""How far can one unit see?  Receptive fields in whole numbers, for most networks.

`analyze` runs a network once on tensors without data, asks the table in `_rules` where the units of
each operation look, and follows these steps home to the image: per axis, a first and a last pixel
for every unit. It never sums a branch up as (size, stride, start), for that goes wrong where
branches meet: two that are 3 pixels wide, but look past each other, may see 7 together.

Lesson: Receptive fields.
"""

from torch import nn

from cifarlab import _arguments as arguments
from cifarlab.receptive_field._features import Unsupported
from cifarlab.receptive_field._fields import Analysis
from cifarlab.receptive_field._recorder import record


def analyze(
    module: nn.Module,
    size: tuple[int, int],
    *,
    channels: int | None = None,
    through_gates: bool = False,
) -> Analysis:
    """Where every unit of every feature map of `module` looks, on an image of `size` (H, W).

    `channels` of the image, if not given, are those that a convolution in it takes. `through_gates`
    looks through what a whole map is scaled by (squeeze-and-excitation, layer and group norm), as
    if it were constant; without it such units see everything. The module counts as in evaluation,
    and stays as it is.

    >>> stem, dilated = nn.Conv2d(3, 8, 3, stride=2, padding=1), nn.Conv2d(8, 8, 3, dilation=2)
    >>> analyze(nn.Sequential(stem, dilated), (32, 32)).output
    Field(units=(12, 12), size=(11, 11), stride=(2, 2), start=(-1, -1))

    A unit is a place, all its channels and images together. Its field is exact, or a bound that
    says so (`Field.exact`): where some of the channels are cut from maps that see different things,
    or where a constant hides units. Zeros in a fixed mask count as unseen, those in weights do not.

    Raises: Refused, a ValueError whose `analysis` holds the maps up to there, if the network cannot
    run on such an image; Unsupported, a Refused, if it asks for the values of pixels or calls an
    operation without a rule in `_rules`.
    Lesson: Receptive fields.
    """
    arguments.instance("module", module, nn.Module)
    module = getattr(module, "_orig_mod", module)  # what torch.compile has wrapped
    size = arguments.pair("size", size, 1, 10_000)
    if channels is not None:
        arguments.whole("channels", channels, 1, 1_000_000)
    failure: ValueError | None = None
    counts = [getattr(part, "in_channels", None) for part in module.modules()]
    # A module may list its layers in another order than it runs them: try all, the first first.
    for guess in dict.fromkeys([channels] if channels else [*filter(None, counts), 3]):
        try:
            return record(module, size, guess, through_gates)
        except Unsupported:
            raise
        except ValueError as error:
            failure = failure or error
    assert failure, "there is a guess, and it failed"
    raise failure
