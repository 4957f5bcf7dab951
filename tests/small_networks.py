"""Small networks of every operation that moves units: each once got no answer, or a wrong one.

None has its answer beside it: `seen` asks the network itself, pixel by pixel.
"""

import threading

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tests.fields import Call


def conv(inputs=1, outputs=1, kernel=3, **settings) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, kernel, **settings)


def ones(*shape: int) -> Tensor:
    """A constant of the network's type."""
    return torch.ones(*shape)


def halves(x, a, b, c):
    """Only the right half of the channels is used in the end."""
    left, right = a(x).chunk(2, 1)
    return c(torch.cat([b(left), right], 1).chunk(2, 1)[1])


class Gate(nn.Module):
    """Every unit is scaled by the mean of all."""

    def forward(self, x):
        return x * x.mean((2, 3), keepdim=True)


class Masked(nn.Module):
    """PixelCNN: a unit sees what comes before it."""

    def __init__(self):
        super().__init__()
        self.conv = conv()
        self.register_buffer("mask", torch.tensor([[1.0, 1, 1], [1, 1, 0], [0, 0, 0]]))

    def forward(self, x):
        return F.conv2d(x, self.conv.weight * self.mask.to(x), padding=1)


def own_patch(x, patches):
    """Attention in which a mask leaves each patch by itself."""
    tokens, mask = patches(x).flatten(2).transpose(1, 2), torch.eye(30, dtype=torch.bool)
    mixed = F.scaled_dot_product_attention(tokens, tokens, tokens, attn_mask=mask)
    return mixed.transpose(1, 2).view(1, 4, 6, 5)


def padded_keys(x, attend):
    """Attention over the pixels of a row, of which the last three are no keys."""
    pixels, padding = x[0, 0, :, :, None], torch.arange(10).expand(12, 10) > 6
    return attend(pixels, pixels, pixels, key_padding_mask=padding)[0][None, None, :, :, 0]


def attention(cut):
    """Attention by hand, over patches, the projections cut apart by `cut`."""

    def run(x, patches, project):
        tokens = patches(x).flatten(2).transpose(1, 2)
        q, k, v = cut(project(tokens).reshape(1, 30, 3, 2, 2).permute(2, 0, 3, 1, 4))
        mixed = (q @ k.transpose(-2, -1)).softmax(-1) @ v
        return mixed.transpose(1, 2).reshape(1, 30, 4).transpose(1, 2).view(1, 4, 6, 5)

    return Call(run, conv(1, 4, 2, stride=2), nn.Linear(4, 12))


def window_attention(x, patches):
    """Attention within windows of 2x5 patches."""
    windows = patches(x).view(1, 4, 3, 2, 5).permute(0, 2, 3, 4, 1).reshape(3, 10, 4)
    mixed = (windows @ windows.transpose(1, 2)).softmax(-1) @ windows
    return mixed.view(1, 3, 2, 5, 4).permute(0, 4, 1, 2, 3).reshape(1, 4, 6, 5)


def class_token(x, patches, mix):
    """A token of its own before those of the patches, which it does not see."""
    tokens = patches(x).flatten(2).transpose(1, 2)
    tokens = mix(torch.cat([torch.zeros(1, 1, 4), tokens], 1))
    return tokens[:, 1:].transpose(1, 2).unflatten(2, (6, 5))


class Plain(nn.Module):
    """A mask that is a plain tensor, not a buffer."""

    def __init__(self):
        super().__init__()
        self.conv, self.mask = conv(), torch.ones(3, 3)

    def forward(self, x):
        return F.conv2d(x, self.conv.weight * self.mask.to(self.conv.weight))


class Scaled(nn.Module):
    """Multiplied with a parameter as a number."""

    def __init__(self):
        super().__init__()
        self.conv, self.scale = conv(), nn.Parameter(torch.ones(1))

    def forward(self, x):
        return self.conv(x) * self.scale.item()


class Counted(nn.Module):
    """Does what a counter says."""

    def __init__(self):
        super().__init__()
        self.conv = conv()
        self.register_buffer("steps", torch.tensor(0))

    def forward(self, x):
        return self.conv(x) if int(self.steps) == 0 else x


class Inference(nn.Module):
    """A branch in inference mode."""

    def __init__(self):
        super().__init__()
        self.conv = conv(padding=1)

    def forward(self, x):
        with torch.inference_mode():
            y = self.conv(x)
        return x + y


class Locked(nn.Module):
    """Holds what can't be copied."""

    def __init__(self):
        super().__init__()
        self.conv, self.lock = conv(), threading.Lock()

    def forward(self, x):
        return self.conv(x)


def put(x):
    """A vector written into zeros."""
    z = torch.zeros(1, 2, 1, 1)
    z[:, :1] = x.mean((2, 3), keepdim=True)
    return z


def padded(x, c):
    """Padding by hand: written into zeros."""
    y = c(x)
    z = y.new_zeros(1, 1, y.shape[2] + 2, y.shape[3] + 2)
    z[:, :, 1:-1, 1:-1] = y
    return z


def copied(x, c):
    """As `padded`, into a view of a view."""
    z = torch.zeros(2, 1, 14, 12)
    z[1][:, 1:-1, 1:-1].copy_(c(x)[0])
    return z


def reversible(x, f, g):
    """A reversible block, changed in place through its halves."""
    left, right = x[:, :, :6].clone(), x[:, :, 6:].clone()
    left += f(right)
    right += g(left)
    return torch.cat([left, right], 2)


def levels(x, a, b):
    """A detector's head: maps of two sizes, side by side."""
    return torch.cat([a(x).flatten(2), b(F.max_pool2d(x, 2)).flatten(2)], 2)[:, :, None]


def overwritten(x, c):
    """What a convolution gave is overwritten by the image, and a row of it by zeros."""
    y = c(x)
    y.copy_(x)
    y[:, :, 3].zero_()
    y[:, :, 5:].fill_(1)
    return y


def emptied(x, c):
    """Only the image is left: the convolution's result is filled with a number, then added."""
    y = c(x)
    return x + y.fill_(2)


BRANCHES = [conv(padding=d, dilation=d) for d in (1, 3, 2)]

# On 12 x 10 pixels of one channel.
NETWORKS = {
    # ------------------------------------------------------------ units moved by a change of shape
    "depth to space by view": Call(
        lambda x, a: a(x).view(1, 1, 2, 2, 12, 10).permute(0, 1, 4, 2, 5, 3).reshape(1, 1, 24, 20),
        conv(1, 4, padding=1),
    ),
    "pixel shuffle": nn.Sequential(conv(1, 4, padding=1), nn.PixelShuffle(2)),
    "depth to space, convolved": nn.Sequential(
        conv(1, 4, padding=1), nn.PixelShuffle(2), conv(padding=1)
    ),
    "up-sampling by expand": Call(
        lambda x: x[:, :, :, None, :, None].expand(1, 1, 12, 2, 10, 2).reshape(1, 1, 24, 20)
    ),
    "channels as rows": Call(lambda x, a: a(x).flatten(1, 2).unsqueeze(1), conv(1, 2, padding=1)),
    # ------------------------------------------------------------ constant matrices
    "constant @ image": Call(lambda x: (ones(3, 1) @ x.flatten(2)).view(1, 3, 12, 10)),
    "constant @ rows": Call(lambda x: ones(4, 12) @ x),
    "vector @ image": Call(
        lambda x, a: (ones(2) @ a(x).flatten(2)).view(1, 1, 12, 10), conv(1, 2, 1)
    ),
    "image @ constant": Call(lambda x: x @ ones(10, 4)),
    "image @ matrix with zeros": Call(lambda x: torch.eye(12).roll(1, 0) @ x @ torch.eye(10)),
    "batched matrix with zeros": Call(lambda x: torch.eye(12).roll(1, 0)[None, None] @ x),
    "einsum with zeros": Call(lambda x: torch.einsum("bchw,wv->bchv", x, torch.eye(10))),
    "einsum with zeros, of channels": Call(
        lambda x, c: torch.einsum("bchw,cd->bdhw", c(x), torch.eye(2)), conv(1, 2)
    ),
    "tensordot with zeros": Call(lambda x: torch.tensordot(x, torch.eye(10), 1)),
    # ------------------------------------------------------------ norms
    "instance norm with statistics": nn.Sequential(
        conv(), nn.InstanceNorm2d(1, track_running_stats=True)
    ),
    "instance norm, functional": Call(
        lambda x, a: F.instance_norm(a(x), ones(1) * 0, ones(1), use_input_stats=False), conv()
    ),
    # ------------------------------------------------------------ channels and batches
    "halves of channels": Call(halves, conv(1, 4, 1), conv(2, 2, padding=1), conv(2, 1, padding=1)),
    "grouped after cat": Call(
        lambda x, a, b, c, grouped: grouped(torch.cat([a(x), b(x), c(x)], 1))[:, 2:],
        *BRANCHES,
        conv(3, 3, 1, groups=3),
    ),
    "channels taken apart": Call(
        lambda x, a: torch.cat([x, a(x)], 1).flatten()[torch.arange(240)].view(1, 1, 20, 12),
        conv(padding=1),
    ),
    "rows of several channels": Call(
        lambda x, a: torch.cat([x, a(x)], 1)[:, :, [3, 1, 8]], conv(padding=1)
    ),
    "one of the channels": Call(
        lambda x, a: torch.cat([x, a(x)], 1).index_select(1, torch.tensor([0])), conv(padding=1)
    ),
    "one of a batch": Call(lambda x, a: torch.cat([x, a(x)])[:1], conv(padding=1)),
    # ------------------------------------------------------------ others
    "outer product": Call(lambda x: x.amax(3, keepdim=True) @ x.amax(2, keepdim=True)),
    "swapped": Call(lambda x, a: a(x).transpose(2, 3), conv()),
    "swapped twice": Call(lambda x, a: a(x.transpose(2, 3)).transpose(2, 3), conv(1, 1, (3, 1))),
    "tokens in four dimensions": Call(
        lambda x, a: a(x).flatten(2)[:, :, :, None], conv(1, 2, 2, stride=2)
    ),
    "masked weights": Masked(),
    "padded keys": Call(padded_keys, nn.MultiheadAttention(1, 1, batch_first=True)),
    "masked attention": Call(own_patch, conv(1, 4, 2, stride=2)),
    # ------------------------------------------------------------ constants made like the image
    "to": Call(lambda x: x * ones(1).to(x)),
    "to a device": Call(lambda x, c: c(x.to(c.weight.device).to("cpu", x.dtype).cpu()), conv()),
    "to, by name": Call(lambda x, c: c(x.to(device=x.device, dtype=c.weight.dtype)), conv()),
    "type_as": Call(lambda x: x * ones(1).type_as(x)),
    "expand_as": Call(lambda x: x + ones(1, 1, 1, 1).expand_as(x)),
    "view_as": Call(lambda x: x + torch.zeros(120).view_as(x)),
    # ------------------------------------------------------------ stack, unbind and attention
    "stack of maps": Call(lambda x, a, b: torch.stack([a(x), b(x)]).sum(0), conv(), conv()),
    "unbind of channels": Call(lambda x, a: a(x).unbind(1)[0].unsqueeze(1), conv(1, 2)),
    "attention by unbind": attention(lambda qkv: qkv.unbind(0)),
    "attention by index": attention(lambda qkv: (qkv[0], qkv[1], qkv[2])),
    "attention in windows": Call(window_attention, conv(1, 4, 2, stride=2)),
    "a class token": Call(class_token, conv(1, 4, 2, stride=2), nn.Linear(4, 4)),
    "softmax in windows": Call(
        lambda x: (
            x.view(1, 6, 2, 5, 2)
            .permute(0, 1, 3, 2, 4)
            .softmax(-1)
            .permute(0, 1, 3, 2, 4)
            .reshape(1, 1, 12, 10)
        )
    ),
    # ------------------------------------------------------------ constants that have values
    "a plain mask": Plain(),
    "a parameter's number": Scaled(),
    "a counter": Counted(),
    "a vector in zeros": Call(put),
    "a vector product": Call(lambda x: (x.permute(0, 2, 3, 1) @ ones(1))[:, None]),
    "inference mode": Inference(),
    "a lock": Locked(),
    "padding by hand": Call(padded, conv(padding=1)),
    "a copy into views": Call(copied, conv(padding=1)),
    "overwritten": Call(overwritten, conv(padding=1)),
    "emptied": Call(emptied, conv(padding=1)),
    "reversible": Call(reversible, conv(padding=1), conv(padding=1)),
    "levels side by side": Call(levels, conv(padding=1), conv(padding=1)),
    # ------------------------------------------------------------ one operation each
    "view: space to depth": Call(
        lambda x, c: c(x.view(1, 1, 6, 2, 5, 2).permute(0, 1, 3, 5, 2, 4).reshape(1, 4, 6, 5)),
        conv(4, 1),
    ),
    "flip": Call(lambda x, c: c(x).flip(3), conv(padding=1)),
    "roll": Call(lambda x, c: torch.roll(c(x), (1, 2), (2, 3)), conv(padding=1)),
    "rot90": Call(lambda x, c: torch.rot90(c(x), 1, (2, 3)), conv(padding=1)),
    "repeat": Call(lambda x, c: c(x).repeat(1, 2, 1, 1), conv()),
    "tile": Call(lambda x, c: c(x).tile(1, 2, 1, 1), conv()),
    "repeat_interleave": Call(
        lambda x, c: c(x).repeat_interleave(2, 2).repeat_interleave(2, 3), conv()
    ),
    "narrow": Call(lambda x, c: c(x).narrow(2, 1, 5), conv()),
    "select": Call(lambda x, c: c(x).select(1, 0).unsqueeze(1), conv(1, 2)),
    "index_select": Call(lambda x, c: c(x).index_select(1, torch.tensor([0])), conv(1, 2)),
    "a list as index": Call(lambda x, c: c(x)[:, [1, 0]], conv(1, 2)),
    "a list as index, rows": Call(lambda x, c: c(x)[:, :, [0, 3, 5]], conv()),
    "glu": Call(lambda x, c: F.glu(c(x), 1), conv(1, 2)),
    "normalize": Call(lambda x, c: F.normalize(c(x), dim=1), conv(1, 2)),
    "norm": Call(lambda x, c: c(x).norm(dim=1, keepdim=True), conv(1, 2)),
    "linalg_vector_norm": Call(
        lambda x, c: torch.linalg.vector_norm(c(x), dim=1, keepdim=True), conv(1, 2)
    ),
    "rms_norm": Call(
        lambda x, c, n: n(c(x).permute(0, 2, 3, 1)).permute(0, 3, 1, 2), conv(1, 2), nn.RMSNorm(2)
    ),
    "std_mean": Call(lambda x, c: torch.std_mean(c(x), dim=1, keepdim=True)[0], conv(1, 2)),
    "var_mean": Call(lambda x, c: torch.var_mean(c(x), dim=1, keepdim=True)[0], conv(1, 2)),
    "einsum": Call(lambda x, c: torch.einsum("bchw,cd->bdhw", c(x), ones(2, 3)), conv(1, 2)),
    "tensordot": Call(
        lambda x, c: torch.tensordot(c(x), ones(2, 3), dims=([1], [0])).permute(0, 3, 1, 2),
        conv(1, 2),
    ),
    "cumsum": Call(lambda x: x.cumsum(3)),
    "unfold": Call(lambda x: F.unfold(x, 3, padding=1).view(1, 9, 12, 10)),
    "unfold, fold": Call(lambda x: F.fold(F.unfold(x, 3, padding=1), (12, 10), 3, padding=1)),
    "max_unpool2d": Call(lambda x: F.max_unpool2d(*F.max_pool2d(x, 2, return_indices=True), 2)),
    "avg_pool1d": Call(
        lambda x, c: (
            F.avg_pool1d(c(x).flatten(2).transpose(1, 2), 2).transpose(1, 2).view(1, 2, 12, 10)
        ),
        conv(1, 4, padding=1),
    ),
    "adaptive_avg_pool1d": Call(lambda x, c: F.adaptive_avg_pool1d(c(x).flatten(2), 1), conv()),
    "lp_pool2d": nn.LPPool2d(2, 3, 2),
    "conv1d, kernel 1": Call(lambda x, c: c(x.flatten(2)).view(1, 1, 12, 10), nn.Conv1d(1, 1, 1)),
    "conv3d, depth 1": Call(lambda x, c: c(x.unsqueeze(2)).squeeze(2), nn.Conv3d(1, 1, (1, 3, 3))),
    "conv2d, rows in the batch": Call(
        lambda x, c: (
            c(x.permute(0, 2, 1, 3).flatten(0, 1).unsqueeze(2))
            .squeeze(2)
            .view(1, 12, 1, 10)
            .permute(0, 2, 1, 3)
        ),
        conv(1, 1, (1, 3), padding=(0, 1)),
    ),
    "grid_sample, constant grid": Call(
        lambda x: F.grid_sample(
            x,
            F.affine_grid(torch.eye(2, 3)[None], (1, 1, 12, 10), align_corners=False),
            align_corners=False,
        )
    ),
    "interpolate, antialias": Call(
        lambda x: F.interpolate(x, size=(6, 5), mode="bilinear", antialias=True)
    ),
    "atan2": Call(lambda x, a, b: torch.atan2(a(x), b(x)), conv(), conv()),
    "hypot": Call(lambda x, a, b: torch.hypot(a(x), b(x)), conv(), conv()),
    "logaddexp": Call(lambda x, a, b: torch.logaddexp(a(x), b(x)), conv(), conv()),
    "sinh": Call(lambda x, c: torch.sinh(c(x)), conv()),
    "remainder": Call(lambda x, c: c(x) % 2, conv()),
    "isfinite": Call(lambda x, c: torch.where(torch.isfinite(c(x)), c(x), 0.0), conv()),
    "nan_to_num": Call(lambda x, c: torch.nan_to_num(c(x)), conv()),
    "new_tensor": Call(lambda x, c: c(x) * x.new_tensor([2.0]), conv()),
    "requires_grad_": Call(lambda x, c: c(x.requires_grad_()), conv()),
    "diff": Call(lambda x, c: c(x).diff(n=2, dim=2), conv()),
    "hstack": Call(lambda x, c: torch.hstack([x, c(x)]), conv(padding=1)),
    "dstack": Call(lambda x, c: torch.dstack([x, c(x)]), conv(padding=1)),
    "hsplit": Call(lambda x, c: c(x)[0, 0].hsplit(2)[1][None, None], conv()),
    "vsplit": Call(lambda x, c: c(x)[0, 0].vsplit(2)[1][None, None], conv()),
    "dsplit": Call(lambda x, c: torch.cat(c(x).dsplit(2)[::-1], 2), conv()),
    "special": Call(lambda x, c: torch.special.expit(torch.special.erf(c(x))), conv()),
    "as_tensor": Call(lambda x, c: torch.as_tensor(c(x)), conv()),
    "broadcast_tensors": Call(
        lambda x, c: sum(torch.broadcast_tensors(c(x), ones(1, 1, 10, 1))), conv()
    ),
    "cross-map normalisation": nn.Sequential(conv(1, 2), nn.CrossMapLRN2d(2)),
    "kron": Call(lambda x, c: torch.kron(ones(2, 1), torch.kron(c(x), ones(1, 3))), conv()),
    "kron of two maps": Call(lambda x, c: torch.kron(x[:, :, :3, :3], c(x)[:, :, :2]), conv()),
    "kron with zeros": Call(lambda x, c: torch.kron(c(x), torch.eye(2)), conv()),
    "as_strided": Call(lambda x, c: c(x).as_strided((1, 1, 5, 4), (80, 80, 16, 2)), conv()),
    "scatter": Call(
        lambda x, c: torch.zeros_like(x).scatter_(
            2, (torch.arange(80) % 12).view(1, 1, 10, 8), c(x)
        ),
        conv(),
    ),
    "scatter of a number": Call(
        lambda x, c: c(x).scatter(2, torch.arange(3).expand(1, 1, 8, 3).mT + 4, 1.0), conv()
    ),
    "index_copy": Call(
        lambda x, c: x.index_copy(3, torch.tensor([9, 1]), c(x)[..., :2]), conv(padding=1)
    ),
    "index_put": Call(
        lambda x, c: x.index_put((*torch.tensor([[0], [0], [3]]),), c(x)[0, 0, 3]), conv(padding=1)
    ),
    "index_add": Call(lambda x, c: x.index_add(2, torch.arange(12) // 2, c(x)), conv(padding=1)),
    "index_add into zeros": Call(
        lambda x, c: torch.zeros(1, 1, 6, 10).index_add_(2, torch.arange(12) // 2, c(x)),
        conv(padding=1),
    ),
    "aten::index": Call(
        lambda x, c: torch.ops.aten.index(c(x), [None, None, torch.tensor([3, 0, 5])]), conv()
    ),
    "t": Call(lambda x, c: c(x).flatten(2)[0].t().relu().t().view(1, 2, 10, 8), conv(1, 2)),
    "mT": Call(lambda x, c: c(x).flatten(2).mT.relu().mT.view(1, 2, 10, 8), conv(1, 2)),
    "movedim": Call(lambda x, c: c(x).movedim(1, -1).movedim(-1, 1), conv(1, 2)),
    "reshape_as": Call(lambda x, c: c(x).flatten(2).reshape_as(c(x)), conv()),
    "split and cat along H": Call(lambda x, c: torch.cat(c(x).split(2, 2), 2), conv(padding=1)),
    "cat: coordinate attention": Call(
        lambda x, c: (
            x
            * c(torch.cat([x.mean(3, keepdim=True), x.mean(2, keepdim=True).transpose(2, 3)], 2))[
                :, :, :12
            ].sigmoid()
        ),
        conv(1, 1, 1),
    ),
    "cat: padding by hand": Call(
        lambda x, c: c(torch.cat([torch.zeros(1, 1, 1, 10), x], 2)), conv()
    ),
    "dynamic weights (CondConv)": Call(
        lambda x, c: F.conv2d(
            x, (torch.ones(4, 1, 1, 3, 3) * c(x).mean((0, 2, 3)).view(4, 1, 1, 1, 1)).sum(0)
        ),
        conv(1, 4),
    ),
}
