"""The rules of all PyTorch operations, in one table, `RULES`: where the units of each look.

Lesson: Receptive fields.
"""

import difflib
from collections.abc import Callable
from typing import Any

import torch
from torch.fx.node import map_aggregate

from cifarlab.receptive_field import _elementwise as elementwise
from cifarlab.receptive_field import _products as products
from cifarlab.receptive_field import _shapes as shapes
from cifarlab.receptive_field import _windows as windows
from cifarlab.receptive_field._features import Feature, Operation, combine, features, mix

ELEMENTWISE = """
    abs acos acosh add alpha_dropout and angle as_tensor asin asinh atan atan2 atanh bernoulli
    bfloat16 bitwise_and bitwise_not bitwise_or bitwise_xor bool ceil celu clamp clamp_max clamp_min
    clip clone complex conj contiguous copysign cos cosh data deg2rad detach double dropout
    dropout1d dropout2d dropout3d elu eq equal_nan erf erfc exp exp2 expit expm1
    fake_quantize_per_channel_affine fake_quantize_per_tensor_affine feature_alpha_dropout float
    floor floor_divide fmax fmin fmod frac ge gelu greater gt half hardshrink hardsigmoid hardswish
    hardtanh heaviside hypot imag int invert isclose isfinite isinf isnan le leaky_relu lerp less
    lgamma log log10 log1p log2 log_sigmoid logaddexp logaddexp2 logical_and logical_not logical_or
    logical_xor logit logsigmoid long lt maximum minimum mish mod nan_to_num ne neg negative or
    polar pos positive pow prelu quantize_per_tensor rad2deg real reciprocal relu relu6 remainder
    requires_grad resolve_conj resolve_neg round rpow rrelu rsqrt selu sgn short sigmoid sign
    silu sin sinc sinh softplus softshrink softsign sqrt square tan tanh tanhshrink
    threshold trunc xlogy xor
"""
MASKED = "masked_fill where add sub subtract rsub"
REDUCTIONS = """
    all amax amin any count_nonzero logsumexp max mean min nanmean nansum prod std std_mean sum var
    var_mean aminmax
"""
RESHAPES = """
    atleast_3d flatten ravel reshape reshape_as squeeze unflatten unsafe_view unsqueeze view_as
    view_as_complex view_as_real
"""
MOVES = """
    as_strided channel_shuffle diag diag_embed diagonal flip fliplr flipud index_select
    masked_select roll rot90 take_along_dim tril triu
"""
RANKED = "argmax argmin argsort cummax cummin kthvalue median mode msort sort topk"
RULES: dict[str, Callable] = {
    **dict.fromkeys(["conv1d", "conv2d", "conv3d"], windows.conv),
    **dict.fromkeys(
        ["conv_transpose1d", "conv_transpose2d", "conv_transpose3d"], windows.conv_transpose
    ),
    "convolution": windows.convolution,
    **dict.fromkeys(
        [f"{kind}_pool{n}d" for kind in ("max", "avg") for n in (1, 2, 3)], windows.pool
    ),
    **dict.fromkeys([f"max_pool{n}d_with_indices" for n in (1, 2, 3)], windows.pool),
    **dict.fromkeys([f"lp_pool{n}d" for n in (1, 2, 3)], windows.lp_pool),
    **dict.fromkeys([f"max_unpool{n}d" for n in (1, 2, 3)], windows.max_unpool),
    **dict.fromkeys(
        [f"adaptive_{kind}_pool{n}d" for kind in ("max", "avg") for n in (1, 2, 3)],
        windows.adaptive_pool,
    ),
    **dict.fromkeys(
        [f"adaptive_max_pool{n}d_with_indices" for n in (1, 2, 3)], windows.adaptive_pool
    ),
    "interpolate": windows.interpolate,
    "pixel_shuffle": windows.pixel_shuffle,
    "pixel_unshuffle": windows.pixel_unshuffle,
    "pad": windows.pad,
    "constant_pad_nd": windows.pad,
    **dict.fromkeys(["unfold", "im2col"], windows.unfold),
    **dict.fromkeys(["fold", "col2im"], windows.fold),
    "grid_sample": windows.grid_sample,
    "getitem": shapes.getitem,
    "setitem": shapes.setitem,
    **dict.fromkeys("copy fill zero".split(), shapes.overwrite),
    "index": shapes.index,
    "index_put": shapes.index_put,
    **dict.fromkeys(["scatter", "index_copy"], shapes.scatter),
    "index_add": products.index_add,
    "slice": shapes.slice_tensor,
    "select": shapes.select,
    "narrow": shapes.narrow,
    **dict.fromkeys(
        "chunk split split_with_sizes tensor_split hsplit vsplit dsplit".split(), shapes.chunk
    ),
    "unbind": shapes.unbind,
    **dict.fromkeys(["cat", "concat", "concatenate"], shapes.cat),
    **dict.fromkeys("hstack vstack dstack row_stack column_stack".split(), shapes.side_stack),
    "diff": elementwise.diff,
    "stack": shapes.stack,
    "permute": shapes.permute,
    **dict.fromkeys("transpose swapaxes swapdims t mT adjoint mH".split(), shapes.transpose),
    "T": shapes.turn_round,
    **dict.fromkeys(["movedim", "moveaxis"], shapes.movedim),
    **dict.fromkeys(["repeat", "tile"], shapes.repeat),
    "repeat_interleave": shapes.repeat_interleave,
    "gather": shapes.gather,
    "view": shapes.view,
    **dict.fromkeys(["addcmul", "addcdiv"], elementwise.addcmul),
    "glu": elementwise.glu,
    **dict.fromkeys(["linear"], products.linear),
    **dict.fromkeys("matmul bmm mm mv dot".split(), products.matmul),
    **dict.fromkeys(["baddbmm", "addmm"], products.add_product),
    "einsum": products.einsum,
    "tensordot": products.tensordot,
    "outer": products.outer,
    "kron": products.kron,
    "bilinear": products.bilinear,
    **dict.fromkeys(["cosine_similarity", "pairwise_distance"], products.similarity),
    "cdist": products.distances,
    **dict.fromkeys("softmax log_softmax softmin gumbel_softmax".split(), products.softmax),
    "normalize": products.normalize,
    "batch_norm": products.batch_norm,
    "group_norm": products.group_norm,
    "instance_norm": products.instance_norm,
    "layer_norm": products.layer_norm,
    "rms_norm": products.layer_norm,
    "local_response_norm": products.channel_norm,
    "scaled_dot_product_attention": products.attention,
    "multi_head_attention_forward": products.multi_head_attention,
    **dict.fromkeys(["lstm", "gru", "rnn_tanh", "rnn_relu"], products.recurrent),
    **dict.fromkeys(["norm", "vector_norm", "linalg_vector_norm", "frobenius_norm"], products.norm),
    **dict.fromkeys(["cumsum", "cumprod", "logcumsumexp"], products.running),
    **dict.fromkeys(
        ["fft_" + i + r + "fft" + n for i in ("", "i") for r in ("", "r") for n in ("", "2", "n")],
        products.transform,
    ),
    **dict.fromkeys(RANKED.split(), products.ranked),
    **dict.fromkeys(MOVES.split(), shapes.moved),
    **dict.fromkeys(elementwise.SCALED.split(), elementwise.multiply),
    **dict.fromkeys(REDUCTIONS.split(), products.reduce),
    **dict.fromkeys(RESHAPES.split(), shapes.reshape),
    **dict.fromkeys("expand expand_as broadcast_to to type type_as".split(), elementwise.type_like),
    **dict.fromkeys(ELEMENTWISE.split(), elementwise.join),
    **dict.fromkeys(MASKED.split(), elementwise.masked),
}
CONSTANTS = """
    empty_like full_like new new_empty new_full new_ones new_tensor new_zeros ones_like
    rand_like randint_like randn_like zeros_like
"""
# These take several features; to all other rules, only the first may depend on the image.
MANY = {
    mix,
    elementwise.join,
    elementwise.masked,
    elementwise.multiply,
    elementwise.addcmul,
    shapes.cat,
    shapes.side_stack,
    shapes.stack,
    products.reduce,
    products.matmul,
    products.add_product,
    products.einsum,
    products.tensordot,
    products.outer,
    products.kron,
    products.index_add,
    products.bilinear,
    products.similarity,
    products.distances,
    products.attention,
    products.multi_head_attention,
    windows.max_unpool,
    windows.grid_sample,
    shapes.getitem,
    shapes.setitem,
    shapes.overwrite,
    shapes.index,
    shapes.index_put,
    shapes.scatter,
    shapes.gather,
    products.linear,
    elementwise.type_like,
    shapes.reshape,
    shapes.view,
}


def apply(op: Operation, args: tuple, kwargs: dict[str, Any]) -> tuple[Feature, ...]:
    """The features of an operation's results, by its rule.

    Raises: Unsupported if there is none.
    """
    inputs = list(features((args, kwargs)))
    name = op.name.removeprefix("special_")  # torch.special.erf is torch.erf
    if name not in RULES and name[:1] in "ir" and name[1:] in RULES:  # x += y, 1 - x
        name = name[1:]
    alike = all(feature.alike for feature in inputs)  # which any function only mixes
    rule = RULES.get(name, mix if alike else None)
    if rule is None:
        close = difflib.get_close_matches(name, RULES, n=3, cutoff=0.7)
        suggestion = f"; there are rules for {', '.join(close)}" if close else ""
        raise op.unsupported(f"has no rule{suggestion}")
    first = kwargs.get("input", args[0] if args else None)
    if rule in MANY or inputs == [first]:
        result = rule(op, *args, **kwargs)
    elif alike:
        result = mix(op, *args, **kwargs)
    else:
        result = weighted(op, rule, first, inputs, args, kwargs)
    return result if isinstance(result, tuple) else (result,)


def weighted(op: Operation, rule: Callable, first: Any, inputs, args, kwargs) -> Feature:
    """By `rule`, where its weights or settings depend on the image as well, all alike."""
    others = [feature for feature in inputs if feature is not first]
    if not isinstance(first, Feature) or not all(feature.alike for feature in others):
        raise op.unsupported("has weights or settings that differ from unit to unit")

    def plain_tensor(value):
        if isinstance(value, Feature) and value is not first:
            return torch.empty(value.shape, device="meta")
        return value

    plain_args, plain_kwargs = map_aggregate((args, kwargs), plain_tensor)
    result = rule(op, *plain_args, **plain_kwargs)
    if op.through_gates:
        return result
    joined = [(result, range(len(result.shape)))]
    return combine(op, [*joined, *((f, [None] * len(f.shape)) for f in others)])
