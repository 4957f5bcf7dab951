"""One run of a network on an image without data, and the `Feature` of every tensor in it.

Lesson: Receptive fields.
"""

import copy
from collections import Counter
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.fx.node import map_aggregate  # applies a function inside tuples, lists and dicts
from torch.nn import functional
from torch.overrides import TorchFunctionMode

from cifarlab.receptive_field import _rules as rules
from cifarlab.receptive_field._features import (
    Feature,
    Operation,
    Refused,
    Unsupported,
    constants,
    features,
    plain,
)
from cifarlab.receptive_field._fields import Analysis
from cifarlab.receptive_field._shapes import Map, as_map, setitem
from cifarlab.receptive_field._taps import AXES, Grid


def evaluated(module: nn.Module) -> nn.Module:
    """A copy in evaluation mode, which shares the parameters' numbers, but not the buffers'."""
    copies: dict[int, Any] = {}
    for parameter in module.parameters():
        copies[id(parameter)] = nn.Parameter(parameter.detach(), requires_grad=False)
    for buffer in module.buffers():
        copies[id(buffer)] = buffer.detach().clone()
    try:
        return copy.deepcopy(module, dict(copies)).eval()  # takes `copies` for made before
    except (TypeError, RuntimeError):  # such as a lock, or a tensor with a history
        for part in module.modules():
            for value in vars(part).values():
                if not isinstance(value, dict):
                    try:
                        copy.deepcopy(value, dict(copies))
                    except (TypeError, RuntimeError):
                        copies[id(value)] = value
        return copy.deepcopy(module, copies).eval()


def flatten(values: Any) -> list:
    """What lies in nested tuples, lists and dicts."""
    leaves: list = []
    map_aggregate(values, leaves.append)
    return leaves


def record(
    module: nn.Module, size: tuple[int, int], channels: int, through_gates: bool
) -> Analysis:
    """`analyze` once the number of channels is known."""
    recorder = Recorder(Grid(size), through_gates)
    try:
        with (
            torch.inference_mode(False),
            torch.enable_grad(),
            torch.random.fork_rng(devices=[]),
            torch.compiler.set_stance("force_eager"),
        ):
            network = evaluated(module)
            recorder.borrow(network)
            dtypes = (tensor.dtype for tensor in network.parameters() if tensor.is_floating_point())
            dtype = next(dtypes, torch.float32)
            image = torch.empty(1, channels, *size, dtype=dtype, device="meta")
            image = image.requires_grad_().clone()  # unlike its source, a clone may be written to
            (grid,) = recorder.grids
            recorder.attach(image, Feature(grid, plain(image.shape, AXES)))
            recorder.watch(network)
            with recorder:
                output = network(image)
        if not any(isinstance(value, Map) for value in flatten(recorder.calls[""])):
            raise ValueError(f"the output is {type(output).__name__} and shows no map of the image")
    except Exception as error:
        if isinstance(error, Unsupported):
            refusal: Refused = error
        else:
            refusal = Refused(
                f"{type(module).__name__} cannot be analysed on {size[0]} x {size[1]} pixels of "
                f"{channels} channels. In {recorder.where()}: {message(error)}.{advice(error)}"
            )
        refusal.analysis = recorder.result(size, missing=str(refusal))
        if refusal is error:
            raise
        raise refusal from error
    return recorder.result(size)


def message(error: Exception) -> str:
    """What an exception says, after its name unless that is a common one."""
    text = " ".join(str(error).split()).rstrip(".")
    if type(error) in (ValueError, RuntimeError) and text:
        return text
    return f"{type(error).__name__}: {text}" if text else f"{type(error).__name__}, without a word"


def advice(error: Exception) -> str:
    """What to do, where the network's own words leave that open."""
    text = str(error)
    if "positional argument" in text:
        return " A network of several inputs needs a module around it that takes the image only."
    if "ScriptModule" in text:
        return " A scripted network shows nothing of its inside; pass the module it was made from."
    if isinstance(error, AssertionError | NotImplementedError | KeyError) and len(text) < 20:
        return " It is the network that refuses this image: try another size, or `channels`."
    return ""


class Recorder(TorchFunctionMode):
    """While active, gives every tensor that depends on the image its `Feature`.

    Those tensors have shapes, but no data; all others, such as weights and masks, have both.
    """

    def __init__(self, image: Grid, through_gates: bool) -> None:
        super().__init__()
        self.through_gates = through_gates
        self.grids: dict[Grid, None] = {image: None}  # for its order: inputs before outputs
        self.labels: dict[Grid, str] = {}  # of the maps that the table shows
        self.calls: dict[str, Any] = {}  # what each call of a module gave
        self.maps: dict[tuple, Map] = {}  # features as maps, each made once
        self.results: dict[str, Tensor] = {}  # of functions that are slow to tell their shape
        self.labelled: set[Grid] = {image}  # grids that have a label, or need none
        self.counts: Counter[str] = Counter()
        self.running: list[tuple[str, nn.Module]] = []  # the innermost module last
        self.device = torch.device("cpu")
        self.borrowed: set[int] = set()
        self.empty = False  # whether constants may lack data, too

    def borrow(self, network: nn.Module) -> None:
        """Note the parameters, which belong to the caller's network."""
        parameters = list(network.parameters())
        self.empty = any(tensor.is_meta for tensor in (*parameters, *network.buffers()))
        if parameters and not self.empty:
            self.device = parameters[0].device
            self.borrowed = {tensor.untyped_storage().data_ptr() for tensor in parameters}

    def result(self, size: tuple[int, int], missing: str | None = None) -> Analysis:
        """What has been recorded."""
        return Analysis(size, list(self.grids), self.labels, self.calls, missing)

    def watch(self, network: nn.Module) -> None:
        """Note which module runs, and what it gives."""

        def enter(name: str, module: nn.Module) -> None:
            self.counts[name] += 1
            count = self.counts[name]
            self.running.append((name if count == 1 else f"{name}#{count}", module))

        def leave(output: Any) -> None:
            recorded = map_aggregate(output, self.map)
            name, module = self.running.pop()
            self.calls[name] = recorded
            source = self.feature(output)
            if is_layer(module) and isinstance(source, Feature):
                self.label(source, name or type(module).__name__)

        for name, part in network.named_modules():
            if isinstance(part, nn.CrossMapLRN2d):  # an autograd function, which nothing sees into
                normalise = partial(functional.local_response_norm, size=part.size)
                part.forward = normalise  # type: ignore[method-assign]
            part.register_forward_pre_hook(lambda part, _, name=name: enter(name, part))
            part.register_forward_hook(lambda part, _, output: leave(output))

    def map(self, value: Any) -> Any:
        """The map that a module gave, if the image decides on it."""
        feature = self.feature(value)
        if not isinstance(feature, Feature):
            return value
        key = feature.grid, feature.dimensions
        if key not in self.maps:
            new_map = self.maps[key] = as_map(feature)
            self.add(new_map.grid)
        return self.maps[key]

    def label(self, feature: Feature, label: str) -> None:
        """A row of the table for what moves the field."""
        if feature.grid not in self.labelled:
            self.labelled.add(feature.grid)
            key = feature.grid, feature.dimensions
            if key not in self.maps:
                self.maps[key] = as_map(feature)
                self.add(self.maps[key].grid)
            self.labels.setdefault(self.maps[key].grid, label)

    def where(self) -> str:
        """The innermost running module, for messages."""
        name, module = self.running[-1] if self.running else ("", None)
        return f"`{name}` ({type(module).__name__})" if name else "the network itself"

    def attach(self, tensor: Tensor, feature: Feature) -> None:
        """Remember what `tensor` is, until something changes it."""
        note(tensor, _feature=(feature, version(tensor)))
        self.add(feature.grid)

    def add(self, grid: Grid) -> None:
        """List `grid` after those it looks at."""
        if grid not in self.grids:
            for source, _ in grid.links:
                self.add(source)
            self.grids[grid] = None

    def feature(self, value: Any) -> Any:
        """The feature of a tensor of the image; anything else comes back as it is."""
        if not isinstance(value, Tensor):
            return value
        feature, seen = getattr(value, "_feature", (None, None))
        if feature is not None:
            lost = seen != version(value)
        elif value.is_meta:  # constants have data, so what has none and no feature slipped past us
            lost = value.requires_grad if self.empty else not hasattr(value, "_constant")
        else:
            lost = value._is_view() and hasattr(value._base, "_overwritten")
        if lost:
            raise Unsupported(
                f"{self.where()} uses a tensor that was changed unseen: through a view of it, in "
                "compiled code or in an extension. Use PyTorch's own functions, out of place."
            )
        return value if feature is None else feature

    def __torch_function__(self, function, types, args=(), kwargs=None):
        """Run `function` for its shapes, and its rule for its features."""
        own, name = name_of(function)
        if name in FACTS:  # at once: our own hooks ask for them, too, at each module
            return function(*args, **(kwargs or {}))
        # As in NumPy, PyTorch lets `axis` stand for `dim`; the rules know one name.
        kwargs = {"dim" if key == "axis" else key: value for key, value in (kwargs or {}).items()}
        inputs, named_inputs = map_aggregate((args, kwargs), self.feature)
        if not any(features((inputs, named_inputs))):
            return self.constant(function, own, args, kwargs)
        if name == "device" and own == "__get__":
            return self.device
        if own == "__set__" and name not in HARMLESS:
            raise Unsupported(f"{self.where()} gives a tensor other `{name}`; make a new tensor.")
        if kwargs.get("out") is not None:
            raise Unsupported(
                f"{own} in {self.where()} writes its result into a tensor by out=; use what it "
                "returns instead."
            )
        if own in ASKED:
            return self.answer(function, own, args)
        if name == "new" and len(args) == 1:
            return torch.empty(0, dtype=args[0].dtype, device=self.device)
        if name in rules.CONSTANTS.split():
            return function(*args, **{**kwargs, "device": kwargs.get("device") or self.device})
        if name in ("cpu", "cuda"):
            return args[0]
        if name in ("to", "as_tensor"):  # from one device to another, too
            args, kwargs = map_aggregate((args, kwargs), without_place)
        if name == "broadcast_tensors":  # each by itself, as some may be constants
            tensors = args[0] if isinstance(args[0], tuple | list) else args
            shape = torch.broadcast_shapes(*(tensor.shape for tensor in tensors))
            return tuple(
                self.__torch_function__(Tensor.expand, types, (each, shape)) for each in tensors
            )
        if name in ALIKE and not isinstance(inputs[0], Feature):
            args, kwargs = map_aggregate((args, kwargs), self.with_data)
            return function(*args, **kwargs)
        return self.operate(function, own, name, args, kwargs, inputs, named_inputs)

    def with_data(self, value: Any) -> Any:
        """For a constant to be made like the image: a tensor of its shape and type, of one zero."""
        if isinstance(value, Tensor) and value.is_meta:
            return torch.zeros((), dtype=value.dtype, device=self.device).expand(value.shape)
        return value

    def constant(self, function, own: str, args, kwargs) -> Any:
        """Run `function` where nothing depends on the image, on real numbers."""
        changed = args[0] if is_in_place(own) and args else None
        if isinstance(changed, Tensor) and not changed.is_meta:
            lent = changed.untyped_storage().data_ptr() in self.borrowed
            if lent:
                raise Unsupported(f"{own} in {self.where()} changes a parameter of the network.")
        result = function(*args, **kwargs)
        if isinstance(result, Tensor):
            if is_data(function) or (result._is_view() and hasattr(result._base, "_data")):
                note(result, _data=True)
            if result.is_meta:
                note(result, _constant=True)
            elif own == "__getitem__" and result._is_view():
                note(result, _origin=args)
            if any(
                isinstance(tensor, nn.Parameter) or hasattr(tensor, "_learned")
                for tensor in constants((args, kwargs))
            ):
                note(result, _learned=True)
        elif self.empty or not isinstance(result, torch.Size | torch.dtype | int | bool | str):
            for tensor in constants(result):
                if tensor.is_meta:
                    note(tensor, _constant=True)
        return result

    def answer(self, function, own: str, args) -> Any:
        """A number that the network asks for; only whether the image is finite is known."""
        assumed = getattr(args[0], "_assumed", None)
        if assumed is None:
            raise Unsupported(
                f"{own.strip('_')} in {self.where()} asks for the values of pixels. A field is "
                "fixed only where nothing is decided by the values of pixels."
            )
        return assumed

    def operate(self, function, own: str, name: str, args, kwargs, inputs, named_inputs) -> Any:
        """Run `function` on tensors without data, and its rule on their features."""
        in_place = is_in_place(own)
        target = args[0] if args else None
        origin = getattr(target, "_origin", None) if in_place else None
        if in_place and own != "__setitem__" and not isinstance(target, Tensor):
            raise Unsupported(f"{own} in {self.where()} changes several tensors at once.")
        if in_place and hasattr(target, "_data"):
            raise Unsupported(
                f"{own} in {self.where()} writes through `data`, which hides it; leave that out."
            )
        if target is not None and in_place and hasattr(target, "_assumed"):
            del target._assumed
        if in_place and origin:
            self.feature(origin[0])  # raises if that has been changed unseen
        elif in_place and isinstance(target, Tensor) and target._is_view() and inputs[0] is target:
            raise Unsupported(
                f"{own} in {self.where()} writes the image into a part of a constant; "
                "assign with [...] = instead."
            )
        if in_place and inputs[0] is target:
            self.overwrite(target)
        if name == "as_strided" and isinstance(target, Tensor) and not is_orderly(target):
            raise Unsupported(
                f"as_strided in {self.where()} counts through memory, where this tensor does not "
                "lie in its own order; call contiguous() before it."
            )
        if name in INDEXED:
            args = (args[0], places(args[1]), *args[2:])
            inputs = (inputs[0], places(inputs[1]), *inputs[2:])
        scalars = name in ("cat", "stack", "where", "einsum", "index_select", "gather")
        metas = map_aggregate((args, kwargs), lambda value: on_meta(value, scalars))
        try:
            if name in OFTEN and not in_place:
                result = self.run_once(function, *metas)
            else:
                result = function(*metas[0], **metas[1])
        except NotImplementedError as error:
            raise Unsupported(
                f"{own} in {self.where()} cannot run without the values of pixels: they decide how "
                "many numbers it gives, or PyTorch has no version of it that asks for shapes only."
            ) from error
        if name == "setitem":
            result = target
        results = [tensor for tensor in flatten(result) if isinstance(tensor, Tensor)]
        if not results:
            return result
        if any(0 in tensor.shape for tensor in results):
            raise ValueError(f"{name} leaves nothing: its result is {tuple(results[0].shape)}")
        shapes = [tensor.shape for tensor in results]
        plain = getattr(function, "op", function)
        operation = Operation(name, self.where(), shapes, self.through_gates, plain)
        outputs = rules.apply(operation, inputs, named_inputs)
        for tensor, feature in zip(results, outputs, strict=True):
            if feature.shape != tensor.shape:
                found, expected = tuple(tensor.shape), tuple(feature.shape)
                raise operation.unsupported(f"gives {found}; its rule is for {expected}")
            self.attach(tensor, feature)
        if is_data(function) or (results[0]._is_view() and hasattr(results[0]._base, "_data")):
            note(results[0], _data=True)
        if name == "getitem" and results[0]._is_view():
            note(results[0], _origin=args)
        assumed = getattr(target, "_assumed", None)
        if name in FINITE:
            note(results[0], _assumed=FINITE[name])
        elif name in ("all", "any", "logical_not", "invert") and assumed is not None:
            note(results[0], _assumed=assumed == (name in ("all", "any")))
        if origin:
            self.write_back(origin, outputs[0])
        if name in rules.RESHAPES.split() or name in ("view", "permute"):
            self.labelled.add(outputs[0].grid)  # the same units, laid out anew
        elif self.running and not is_layer(self.running[-1][1]):
            where = self.running[-1][0]
            self.label(outputs[0], f"{where}: {name}" if where else name)
        return result

    def run_once(self, function, args, kwargs) -> Any:
        """What `function` gives for tensors without data, or gave for others of their shapes."""
        key = f"{function} {map_aggregate((args, kwargs), outline)}"
        if key in self.results:
            return self.results[key].clone()
        result = function(*args, **kwargs)
        if all(result is not given for given in constants((args, kwargs))):  # inplace=True
            self.results[key] = result.clone()
        return result

    def overwrite(self, constant: Tensor) -> None:
        """Take the data from a constant that the image is about to be written into."""
        origin = getattr(constant, "_origin", None)
        empty = torch.empty_like(constant, device="meta")
        torch.utils.swap_tensors(constant, empty)
        if origin:
            note(constant, _origin=origin)
        note(empty, _overwritten=True)  # what had its data; views of it are stale

    def write_back(self, origin: tuple[Tensor, Any], feature: Feature) -> None:
        """After a change of a view, to `feature`: its `origin`, tensor and index, changed there."""
        base, index = origin
        old = getattr(base, "_feature", (base,))[0]
        if old is base:
            self.overwrite(base)
        operation = Operation(
            "setitem", self.where(), [base.shape], self.through_gates, Tensor.__setitem__
        )
        new = setitem(operation, old, places(index), feature)
        self.attach(base, new)
        if hasattr(base, "_origin"):
            self.write_back(base._origin, new)


# What is known of a tensor without its numbers.
FACTS = "_version dim dtype is_inference ndim shape size".split()
# What PyTorch takes milliseconds for even without data, while a network calls it again and again
# with tensors of the same shapes. All give one new tensor.
OFTEN = """
    add batch_norm conv2d gelu group_norm hardsigmoid hardswish instance_norm layer_norm mul
    relu6 scaled_dot_product_attention
""".split()
# What gives its first argument the shape or type of its second.
ALIKE = "to type_as expand_as view_as reshape_as broadcast_to".split()
# What asks for numbers; and the answers if all pixels are finite.
ASKED = "__bool__ __int__ __float__ __index__ __complex__ item tolist numpy __array__".split()
INDEXED = ("getitem", "setitem", "index", "index_put")  # whose second argument is an index
HARMLESS = ("grad", "names", "requires_grad")  # attributes that may be set
FINITE = {"isfinite": True, "isnan": False, "isinf": False}


def name_of(function) -> tuple[str, str]:
    """A function's own name, and that of its rule: add for __add__, add_ and add.Tensor."""
    own = getattr(function, "__name__", type(function).__name__).split(".")[0]
    if own in ("__get__", "__set__"):  # an attribute: x.shape
        return own, function.__self__.__name__
    return own, own.strip("_")


def is_data(function) -> bool:
    """Whether a function gives `x.data`: a tensor's numbers, of whose changes it does not hear."""
    return name_of(function) == ("__get__", "data")


def is_orderly(tensor: Tensor) -> bool:
    """Does it lie in memory as its places count, from the first on?"""
    return tensor.is_contiguous() and int(tensor.storage_offset()) == 0


def is_in_place(own: str) -> bool:
    """Whether a function of this name changes its first argument."""
    if own.startswith("__"):
        return own == "__setitem__" or (
            own.startswith("__i") and own not in ("__invert__", "__index__", "__int__")
        )
    return own.endswith("_")


def note(tensor: Tensor, **facts: Any) -> None:
    """Write `facts` on the tensor, as attributes of it."""
    for name, fact in facts.items():
        setattr(tensor, name, fact)


def version(tensor: Tensor) -> int | None:
    """How often a tensor has been changed; inference tensors do not count that."""
    return None if tensor.is_inference() else tensor._version


def on_meta(value: Any, scalars: bool = False) -> Any:
    """Without data, if a tensor; of a single number, only if `scalars`."""
    if not isinstance(value, Tensor) or value.is_meta or (value.ndim == 0 and not scalars):
        return value
    return torch.empty_like(value, device="meta")


def outline(value: Any) -> Any:
    """What decides on a result's outline: of a tensor all but its numbers."""
    if not isinstance(value, Tensor):
        return value
    return value.shape, value.stride(), value.dtype, value.requires_grad, value.device


def without_place(value: Any) -> Any:
    """A setting of `to`, but for the device, as what has no data lies on none."""
    return "meta" if isinstance(value, torch.device | str) else value


def places(index: Any) -> Any:
    """An index, with numbers in place of masks that are constants."""
    if isinstance(index, list) and any(isinstance(entry, Tensor) for entry in index):
        index = tuple(index)
    several = index if isinstance(index, tuple) else (index,)
    entries: list = []
    for entry in several:
        if isinstance(entry, list):
            entry = torch.tensor(entry)
        if (
            isinstance(entry, Tensor)
            and entry.dtype in (torch.bool, torch.uint8)
            and not entry.is_meta
        ):
            entries += entry.nonzero(as_tuple=True)
        elif isinstance(entry, Tensor) and entry.ndim == 0 and not entry.is_meta:
            entries.append(int(entry))
        else:
            entries.append(entry)
    return tuple(entries)


def is_layer(module: nn.Module) -> bool:
    """Whether PyTorch's own code runs it, so that the table names it rather than what it calls."""
    return (type(module).forward.__module__ or "").startswith("torch.nn.modules")
