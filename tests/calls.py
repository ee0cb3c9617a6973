"""Calls of the compiled functions: correct ones, ones with a single fault, and random ones for the sanitizers.

The tests run a few of each; benchmarks/trust.py runs as many as are requested.
"""

import importlib
import importlib.util
import math
import random
from collections import Counter
from collections.abc import Callable

import torch
from torch import Tensor

KERNELS = importlib.import_module("unrolled._kernels") if importlib.util.find_spec("unrolled._kernels") else None
FUNCTIONS = (
    "forward",
    "backward",
    "frozen",
    "linear",
    "frozen_linear",
    "linear_backward",
    "attention",
    "attention_backward",
)
GATES = {"ELMAN": 1, "ELMAN_RELU": 1, "GRU": 3, "LSTM": 4}
SAVED = {"ELMAN": 0, "ELMAN_RELU": 0, "GRU": 4, "LSTM": 5}
MAY_BE_NONE = {"lengths", "bias", "bias_n", "mask", "saved", "dy", "dh", "dc", "dx", "dbias", "dbias_n"}
MAY_BE_NONE |= {"dweight", "dweights", "dcontext", "dh0", "dc0"}
WRITTEN = {"h", "c", "dx", "dweight_x", "dweight_h", "dbias", "dbias_n", "dh0", "dc0"}
WRITTEN |= {"dweight", "context", "dquery", "dkeys", "dv", "doutputs"}

Arguments = dict[str, object]


def call(arguments: Arguments, function: str) -> None:
    """Call one of FUNCTIONS, all arguments by name; of frozen ones the weights are packed first."""
    if not function.startswith("frozen"):
        getattr(KERNELS, function)(**arguments)
        return
    linear = function == "frozen_linear"
    own = ("isa", "weight", "bias") if linear else ("recurrence", "isa", "weight_x", "weight_h", "bias", "bias_n")
    frozen = (KERNELS.FrozenLinear if linear else KERNELS.FrozenCell)(**{name: arguments[name] for name in own})
    frozen.forward(**without(arguments, *own))


def forward(kind: str, B: int = 3, T: int = 4, D: int = 5, H: int = 6, dtype: torch.dtype = torch.float32) -> Arguments:
    """Return a correct call of forward with all arguments: (B, T, D) -> (B, T, H).

    In bfloat16, x and weights have an even size, all else is float32 and nothing is saved.
    """
    G, S, lstm, K = GATES[kind], SAVED[kind], kind == "LSTM", H
    wide = dtype
    if dtype == torch.bfloat16:
        D, K, S, wide = D + D % 2, H + H % 2, 0, torch.float32

    def some(*shape: int) -> Tensor:
        return torch.randn(*shape, dtype=wide)

    return {
        "recurrence": getattr(KERNELS, kind), "isa": isas(dtype)[0], "threads": 2,
        "reverse": False, "x": some(B, T, D).to(dtype), "lengths": torch.randint(0, T + 1, (B,)),
        "weight_x": some(G * H, D).to(dtype), "weight_h": some(G * H, K).to(dtype), "bias": some(G * H),
        "bias_n": some(H) if kind == "GRU" else None, "mask": torch.ones(B, H, dtype=wide),
        "h0": some(B, H), "c0": some(B, H) if lstm else None,
        "y": torch.zeros(B, T, H, dtype=dtype), "h": torch.zeros(B, H, dtype=wide),
        "c": torch.zeros(B, H, dtype=wide) if lstm else None,
        "saved": torch.zeros(T, B, S * H, dtype=wide) if S else None,
    }  # fmt: skip


def linear(N: int = 3, D: int = 5, V: int = 6) -> Arguments:
    """Return a correct call of linear: (N, D) -> (N, V)."""
    return {
        "isa": isas()[0], "threads": 2, "x": torch.randn(N, D), "weight": torch.randn(V, D), "bias": torch.randn(V),
        "y": torch.zeros(N, V),
    }  # fmt: skip


def linear_backward(arguments: Arguments) -> Arguments:
    """Return the backward call that belongs to a call of linear."""
    gradients = {f"d{name}": torch.zeros_like(arguments[name]) for name in ("x", "weight")}
    return {
        **without(arguments, "y", "bias"),
        "dy": torch.randn_like(arguments["y"]),
        **gradients,
        "dbias": arguments["y"].new_zeros(arguments["y"].shape[1]),
        "add": False,
    }


def attention(B: int = 3, S: int = 4, A: int = 5, D: int = 6) -> Arguments:
    """Return a correct call of an attention step."""
    return {
        "isa": isas()[0], "threads": 2, "query": torch.randn(B, A), "keys": torch.randn(B, S, A), "v": torch.randn(A),
        "outputs": torch.randn(B, S, D), "lengths": torch.randint(1, S + 1, (B,)),
        "weights": torch.zeros(B, S), "context": torch.zeros(B, D),
    }  # fmt: skip


def attention_backward(arguments: Arguments) -> Arguments:
    """Return the backward call that belongs to a call of an attention step."""
    gradients = {f"d{name}": torch.zeros_like(arguments[name]) for name in ("query", "keys", "v", "outputs")}
    incoming = {f"d{name}": torch.randn_like(arguments[name]) for name in ("weights", "context")}
    return {**without(arguments, "context"), **incoming, **gradients}


def backward(arguments: Arguments) -> Arguments:
    """Return the call of backward that belongs to a call of forward."""
    h0, c0 = arguments["h0"], arguments["c0"]
    own = {n: arguments[n] for n in ("x", "weight_x", "weight_h", "bias", "bias_n", "h0", "c0")}
    gradients = {f"d{n}": None if t is None else torch.zeros(t.shape, dtype=h0.dtype) for n, t in own.items()}
    return {
        **without(arguments, "h", "c"),
        "dy": torch.randn_like(arguments["y"]), "dh": torch.randn_like(h0),
        "dc": None if c0 is None else torch.randn_like(c0), **gradients,
    }  # fmt: skip


def right(kind: str, function: str) -> Arguments:
    """Return a correct call of one of FUNCTIONS."""
    arguments = forward(kind)
    calls = {"forward": arguments, "backward": backward(arguments), "frozen": without(arguments, "saved")}
    calls |= {"linear": linear(), "frozen_linear": linear(), "linear_backward": linear_backward(linear())}
    calls |= {"attention": attention(), "attention_backward": attention_backward(attention())}
    return calls[function]


def without(arguments: Arguments, *names: str) -> Arguments:
    """Return the call without some of its arguments."""
    return {name: value for name, value in arguments.items() if name not in names}


def portable() -> int:
    """Return the index of the portable instruction set, which is always available."""
    return [name for name, *_ in KERNELS.isas()].index("portable")


def isas(dtype: torch.dtype = torch.float32) -> list[int]:
    """Return the indices of the available instruction sets that compute in a dtype, best first."""
    if dtype == torch.float64:
        return [portable()]
    return [i for i, (_, here, pairs) in enumerate(KERNELS.isas()) if here and (pairs or dtype != torch.bfloat16)]


# --- a single fault ------------------------------------------------------------------------------------------------


def spoil(chooser: random.Random, arguments: Arguments, function: str) -> tuple[str, str, Arguments]:
    """Put a fault into one argument; return its name, the kind of fault, and the call."""
    numbers = {
        "recurrence": [-1, 4, 2**31 - 1], "isa": [-1, 99, -(2**31)], "threads": [0, -3, 1025, 2**31 - 1],
    }  # fmt: skip
    name = chooser.choice(
        [*(n for n, v in arguments.items() if isinstance(v, Tensor)), *(n for n in numbers if n in arguments)]
    )
    if name in numbers:
        return name, "number", {**arguments, name: chooser.choice(numbers[name])}
    value = arguments[name]
    assert isinstance(value, Tensor)
    writes = name in WRITTEN or (function != "backward" and name in ("y", "saved"))
    writes |= function == "attention" and name == "weights"
    ways = ["axis", "size", "huge", "dtype", "device", "type", "empty", "layout"]
    ways += ["stride"] if value.dim() > 1 and value.shape[-1] > 1 else []
    ways += ["overlap"] if writes else []
    ways += ["missing"] if name not in MAY_BE_NONE else []
    ways += ["value"] if name == "lengths" else []
    way = chooser.choice(ways)
    return name, way, {**arguments, **_spoilt(chooser, arguments, name, value, way)}


def _spoilt(chooser: random.Random, arguments: Arguments, name: str, value: Tensor, way: str) -> Arguments:
    axis = chooser.randrange(value.dim())
    if way == "axis":
        return {name: value.unsqueeze(0) if chooser.random() < 0.5 else value[0]}
    if way == "size":
        return {name: torch.cat([value, value.narrow(axis, 0, 1)], dim=axis)}
    if way == "huge":  # without memory: one number, repeated
        one = value[(0,) * value.dim()].view([1] * value.dim())
        sizes = list(value.shape)
        sizes[axis] = 2 ** chooser.choice([31, 33, 40, 47])
        return {name: one.expand(sizes)}
    if way == "dtype":
        kinds = [torch.float64, torch.float16, torch.bfloat16, torch.int32, torch.int64, torch.bool, torch.complex64]
        return {name: value.to(chooser.choice([kind for kind in kinds if kind != value.dtype]))}
    if way == "device":
        return {name: value.to("meta")}
    if way == "type":
        return {name: chooser.choice([value.tolist(), value.numpy(), 3, "x", object(), Tensor])}
    if way == "empty":
        return {name: value[:0]}
    if way == "layout":
        return {name: value.to_sparse()}
    if way == "stride":
        return {name: torch.stack([value, value], dim=-1)[..., 0]}
    if way == "value":
        wrong = value.clone()
        wrong[chooser.randrange(len(wrong))] = chooser.choice([-1, 5, 2**31, 2**62, -(2**63)])
        return {name: wrong}
    if way == "overlap":
        read, x = next((n, v) for n, v in arguments.items() if isinstance(v, Tensor))  # the first is read
        storage = torch.randn(4096)
        return {read: storage[: x.numel()].view(x.shape), name: storage[: value.numel()].view(value.shape)}
    return {name: None}  # missing


def refuse(count: int, seed: int = 0) -> Counter[str]:
    """Make `count` wrong calls, each of which must raise an exception that names the argument; count them by fault."""
    chooser, ways = random.Random(seed), Counter[str]()
    torch.manual_seed(seed)
    calls = [(right(kind, function), function) for kind in GATES for function in FUNCTIONS]
    for arguments, function in calls:
        call(arguments, function)
    for _ in range(count):
        arguments, function = chooser.choice(calls)
        name, way, wrong = spoil(chooser, arguments, function)
        try:
            call(wrong, function)
        except (TypeError, ValueError) as error:
            message = str(error)
        else:
            raise AssertionError(f"{name} ({way}) was wrong and nothing was raised")
        # Some arguments define the sizes: with a wrong size there, another argument differs.
        gives_sizes = name in ("x", "weight", "weight_h", "keys", "outputs") or (
            name == "weight_x" and function == "frozen"
        )
        named = any(other in message for other in arguments) if gives_sizes else name in message
        assert named, f"{name} ({way}): {message}"
        ways[way] += 1
    return ways


# --- at random -----------------------------------------------------------------------------------------------------


def fuzz(count: int, seed: int = 0, report: Callable[[int], None] = lambda done: None) -> Counter[str]:
    """Make `count` random calls: any size, option, layout, number and instruction set; one in nine has a fault.

    The results are not checked: the sanitizers are. Return the number of calls by function.
    """
    chooser, made = random.Random(seed), Counter[str]()
    torch.manual_seed(seed)
    while made.total() < count:
        arguments = _any_forward(chooser)
        dtype = arguments["x"].dtype
        function = "frozen" if dtype == torch.float32 and chooser.random() < 0.3 else "forward"
        call(without(arguments, "saved") if function == "frozen" else arguments, function)
        made.update(["forward, bfloat16" if dtype == torch.bfloat16 else function])
        if dtype != torch.bfloat16:
            call(_any_backward(chooser, arguments), "backward")
            made.update(["backward"])
        product, step = _any_linear(chooser), _any_attention(chooser)
        calls = {"linear": product, "frozen_linear": product, "linear_backward": linear_backward(product)}
        add = chooser.random() < 0.5
        calls |= {"attention": step, "attention_backward": {**attention_backward(step), "add": add}}
        for function, some in calls.items():
            call(some, function)
        made.update(calls.keys())
        if chooser.random() < 0.25:
            function = chooser.choice(FUNCTIONS)
            name, way, wrong = spoil(chooser, right(chooser.choice(list(GATES)), function), function)
            try:
                call(wrong, function)
            except (TypeError, ValueError):
                made["refused"] += 1
            else:
                raise AssertionError(f"{name} ({way}) was wrong and nothing was raised")
        if made.total() % 5000 < 8:
            report(made.total())
    return made


def _any_forward(chooser: random.Random) -> Arguments:
    pick, some = chooser.choice, chooser.random
    B, T = pick([0, 1, 1, 2, 3, 4, 5, 9, 17]), pick([0, 1, 1, 2, 3, 7])
    D, H = pick([1, 2, 3, 7, 8, 16, 19]), pick([1, 2, 5, 8, 13, 15, 16, 17, 31, 33])
    dtypes = [torch.float64, torch.bfloat16] if isas(torch.bfloat16) else [torch.float64]
    dtype = pick(dtypes) if some() < 0.1 * len(dtypes) else torch.float32
    arguments = forward(pick(list(GATES)), B, T, D, H, dtype)
    arguments |= {"isa": pick(isas(dtype)), "threads": pick([1, 2, 3])}
    arguments |= {name: None for name in ("lengths", "bias", "bias_n", "mask") if some() < 0.3}
    strange = arguments[pick(["x", "weight_x", "weight_h", "h0"])]
    if some() < 0.05 and strange.numel():
        strange.view(-1)[chooser.randrange(strange.numel())] = pick([math.nan, math.inf, -math.inf, 3e38])
    laid_out = arguments["x"] if dtype == torch.bfloat16 else _laid_out(chooser, arguments["x"])
    return {**arguments, "reverse": some() < 0.5, "x": laid_out}


def _any_linear(chooser: random.Random) -> Arguments:
    pick = chooser.choice
    arguments = linear(pick([0, 1, 2, 5, 17]), pick([1, 2, 7, 16, 33]), pick([1, 3, 8, 17, 33, 70]))
    arguments |= {"isa": pick(isas()), "threads": pick([1, 2, 3])}
    return {**arguments, "bias": None} if chooser.random() < 0.3 else arguments


def _any_attention(chooser: random.Random) -> Arguments:
    pick = chooser.choice
    arguments = attention(
        pick([0, 1, 2, 5, 17]), pick([1, 2, 7, 16]), pick([1, 3, 8, 17, 33]), pick([1, 2, 15, 33, 130])
    )
    return {**arguments, "isa": pick(isas()), "threads": pick([1, 2, 3])}


def _any_backward(chooser: random.Random, arguments: Arguments) -> Arguments:
    after = backward(arguments)
    after["dy"] = _laid_out(chooser, after["dy"])
    after |= {name: None for name in ("dy", "dh", "dc", "dx", "dbias", "dbias_n") if chooser.random() < 0.3}
    if chooser.random() < 0.2:
        after |= dict.fromkeys(("dweight_x", "dweight_h", "dbias", "dbias_n"))
    return after


def _laid_out(chooser: random.Random, value: Tensor) -> Tensor:
    """Return the same numbers (B, T, n) in another layout that the kernels take."""
    B, T, n = value.shape
    way = chooser.randrange(4)
    if way == 0:
        return value.transpose(0, 1).contiguous().transpose(0, 1)
    if way == 1:
        wide = torch.zeros(B, T, n + 3, dtype=value.dtype)
        wide[..., 2 : n + 2] = value
        return wide[..., 2 : n + 2]
    if way == 2 and B:
        return value[:1].expand(B, T, n)
    return value
