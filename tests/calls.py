"""Calls of the compiled functions: right ones, ones with a single thing wrong, and random ones for the sanitizers.

The tests run a few of each; benchmarks/trust.py runs as many as are asked for.
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
MAY_BE_NONE |= {"dweight", "dweights", "dcontext"}
WRITTEN = {"h", "c", "dx", "dweight_x", "dweight_h", "dbias", "dbias_n", "dh0", "dc0"}
WRITTEN |= {"dweight", "context", "dquery", "dkeys", "dv", "doutputs"}

Given = dict[str, object]


def call(given: Given, function: str) -> None:
    """Call one of FUNCTIONS, all arguments by name; frozen: weights are packed, then forward."""
    if not function.startswith("frozen"):
        getattr(KERNELS, function)(**given)
        return
    linear = function == "frozen_linear"
    own = ("isa", "weight", "bias") if linear else ("recurrence", "isa", "weight_x", "weight_h", "bias", "bias_n")
    frozen = (KERNELS.FrozenLinear if linear else KERNELS.FrozenCell)(**{name: given[name] for name in own})
    frozen.forward(**without(given, *own))


def forward(kind: str, B: int = 3, T: int = 4, D: int = 5, H: int = 6, dtype: torch.dtype = torch.float32) -> Given:
    """A right call of forward with everything in it: (B, T, D) -> (B, T, H).

    In bfloat16, x and weights are in whole pairs, all else is float32 and nothing is saved.
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


def linear(N: int = 3, D: int = 5, V: int = 6) -> Given:
    """A right call of linear: (N, D) -> (N, V)."""
    return {
        "isa": isas()[0], "threads": 2, "x": torch.randn(N, D), "weight": torch.randn(V, D), "bias": torch.randn(V),
        "y": torch.zeros(N, V),
    }  # fmt: skip


def linear_backward(given: Given) -> Given:
    """The right call that belongs to a right call of linear."""
    gradients = {f"d{name}": torch.zeros_like(given[name]) for name in ("x", "weight")}
    return {
        **without(given, "y", "bias"),
        "dy": torch.randn_like(given["y"]),
        **gradients,
        "dbias": given["y"].new_zeros(given["y"].shape[1]),
    }


def attention(B: int = 3, S: int = 4, A: int = 5, D: int = 6) -> Given:
    """A right call of an attention step."""
    return {
        "isa": isas()[0], "threads": 2, "query": torch.randn(B, A), "keys": torch.randn(B, S, A), "v": torch.randn(A),
        "outputs": torch.randn(B, S, D), "lengths": torch.randint(1, S + 1, (B,)),
        "weights": torch.zeros(B, S), "context": torch.zeros(B, D),
    }  # fmt: skip


def attention_backward(given: Given) -> Given:
    """The right call that belongs to a right call of an attention step."""
    gradients = {f"d{name}": torch.zeros_like(given[name]) for name in ("query", "keys", "v", "outputs")}
    asked = {f"d{name}": torch.randn_like(given[name]) for name in ("weights", "context")}
    return {**without(given, "context"), **asked, **gradients}


def backward(given: Given) -> Given:
    """The right call of backward that belongs to a right call of forward."""
    h0, c0 = given["h0"], given["c0"]
    own = {n: given[n] for n in ("x", "weight_x", "weight_h", "bias", "bias_n", "h0", "c0")}
    gradients = {f"d{n}": None if t is None else torch.zeros(t.shape, dtype=h0.dtype) for n, t in own.items()}
    return {
        **without(given, "h", "c"),
        "dy": torch.randn_like(given["y"]), "dh": torch.randn_like(h0),
        "dc": None if c0 is None else torch.randn_like(c0), **gradients,
    }  # fmt: skip


def right(kind: str, function: str) -> Given:
    """A right call of one of FUNCTIONS."""
    given = forward(kind)
    calls = {"forward": given, "backward": backward(given), "frozen": without(given, "saved")}
    calls |= {"linear": linear(), "frozen_linear": linear(), "linear_backward": linear_backward(linear())}
    calls |= {"attention": attention(), "attention_backward": attention_backward(attention())}
    return calls[function]


def without(given: Given, *names: str) -> Given:
    """The call without some of its arguments."""
    return {name: value for name, value in given.items() if name not in names}


def portable() -> int:
    """The index of the instruction set that is always here."""
    return [name for name, *_ in KERNELS.isas()].index("portable")


def isas(dtype: torch.dtype = torch.float32) -> list[int]:
    """The indices of the instruction sets that are here and compute such numbers, best first."""
    if dtype == torch.float64:
        return [portable()]
    return [i for i, (_, here, pairs) in enumerate(KERNELS.isas()) if here and (pairs or dtype != torch.bfloat16)]


# --- one thing wrong -----------------------------------------------------------------------------------------------


def spoil(chooser: random.Random, given: Given, function: str) -> tuple[str, str, Given]:
    """Make one argument wrong -> its name, in which way, and the call."""
    numbers = {
        "recurrence": [-1, 4, 2**31 - 1], "isa": [-1, 99, -(2**31)], "threads": [0, -3, 1025, 2**31 - 1],
    }  # fmt: skip
    name = chooser.choice(
        [*(n for n, v in given.items() if isinstance(v, Tensor)), *(n for n in numbers if n in given)]
    )
    if name in numbers:
        return name, "number", {**given, name: chooser.choice(numbers[name])}
    value = given[name]
    assert isinstance(value, Tensor)
    writes = name in WRITTEN or (function != "backward" and name in ("y", "saved"))
    writes |= function == "attention" and name == "weights"
    ways = ["axis", "size", "huge", "dtype", "device", "type", "empty", "layout"]
    ways += ["stride"] if value.dim() > 1 and value.shape[-1] > 1 else []
    ways += ["overlap"] if writes else []
    ways += ["missing"] if name not in MAY_BE_NONE else []
    ways += ["value"] if name == "lengths" else []
    way = chooser.choice(ways)
    return name, way, {**given, **_spoilt(chooser, given, name, value, way)}


def _spoilt(chooser: random.Random, given: Given, name: str, value: Tensor, way: str) -> Given:
    axis = chooser.randrange(value.dim())
    if way == "axis":
        return {name: value.unsqueeze(0) if chooser.random() < 0.5 else value[0]}
    if way == "size":
        return {name: torch.cat([value, value.narrow(axis, 0, 1)], dim=axis)}
    if way == "huge":  # of no memory: one number, many times
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
        read, x = next((n, v) for n, v in given.items() if isinstance(v, Tensor))  # the first is read
        storage = torch.randn(4096)
        return {read: storage[: x.numel()].view(x.shape), name: storage[: value.numel()].view(value.shape)}
    return {name: None}  # missing


def refuse(count: int, seed: int = 0) -> Counter[str]:
    """Make `count` wrong calls, each of which must end in an exception that names the argument. How many, by way."""
    chooser, ways = random.Random(seed), Counter[str]()
    torch.manual_seed(seed)
    calls = [(right(kind, function), function) for kind in GATES for function in FUNCTIONS]
    for given, function in calls:
        call(given, function)
    for _ in range(count):
        given, function = chooser.choice(calls)
        name, way, wrong = spoil(chooser, given, function)
        try:
            call(wrong, function)
        except (TypeError, ValueError) as error:
            message = str(error)
        else:
            raise AssertionError(f"{name} ({way}) was wrong and nothing was said")
        # Sizes are taken from some: where one of them is wrong, it is another argument that differs.
        gives_sizes = name in ("x", "weight", "weight_h", "keys", "outputs") or (
            name == "weight_x" and function == "frozen"
        )
        named = any(other in message for other in given) if gives_sizes else name in message
        assert named, f"{name} ({way}): {message}"
        ways[way] += 1
    return ways


# --- at random -----------------------------------------------------------------------------------------------------


def fuzz(count: int, seed: int = 0, report: Callable[[int], None] = lambda done: None) -> Counter[str]:
    """Make `count` random calls: any size, option, layout, number and instruction set; one in nine has a mistake in it.

    Nothing is asked of the results: it is for the sanitizers to complain. How many calls, by what they were.
    """
    chooser, made = random.Random(seed), Counter[str]()
    torch.manual_seed(seed)
    while made.total() < count:
        given = _any_forward(chooser)
        dtype = given["x"].dtype
        function = "frozen" if dtype == torch.float32 and chooser.random() < 0.3 else "forward"
        call(without(given, "saved") if function == "frozen" else given, function)
        made.update(["forward, bfloat16" if dtype == torch.bfloat16 else function])
        if dtype != torch.bfloat16:
            call(_any_backward(chooser, given), "backward")
            made.update(["backward"])
        rows, attended = _any_linear(chooser), _any_attention(chooser)
        calls = {"linear": rows, "frozen_linear": rows, "linear_backward": linear_backward(rows)}
        add = chooser.random() < 0.5
        calls |= {"attention": attended, "attention_backward": {**attention_backward(attended), "add": add}}
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
                raise AssertionError(f"{name} ({way}) was wrong and nothing was said")
        if made.total() % 5000 < 8:
            report(made.total())
    return made


def _any_forward(chooser: random.Random) -> Given:
    pick, some = chooser.choice, chooser.random
    B, T = pick([0, 1, 1, 2, 3, 4, 5, 9, 17]), pick([0, 1, 1, 2, 3, 7])
    D, H = pick([1, 2, 3, 7, 8, 16, 19]), pick([1, 2, 5, 8, 13, 15, 16, 17, 31, 33])
    dtypes = [torch.float64, torch.bfloat16] if isas(torch.bfloat16) else [torch.float64]
    dtype = pick(dtypes) if some() < 0.1 * len(dtypes) else torch.float32
    given = forward(pick(list(GATES)), B, T, D, H, dtype)
    given |= {"isa": pick(isas(dtype)), "threads": pick([1, 2, 3])}
    given |= {name: None for name in ("lengths", "bias", "bias_n", "mask") if some() < 0.3}
    strange = given[pick(["x", "weight_x", "weight_h", "h0"])]
    if some() < 0.05 and strange.numel():
        strange.view(-1)[chooser.randrange(strange.numel())] = pick([math.nan, math.inf, -math.inf, 3e38])
    laid_out = given["x"] if dtype == torch.bfloat16 else _laid_out(chooser, given["x"])
    return {**given, "reverse": some() < 0.5, "x": laid_out}


def _any_linear(chooser: random.Random) -> Given:
    pick = chooser.choice
    given = linear(pick([0, 1, 2, 5, 17]), pick([1, 2, 7, 16, 33]), pick([1, 3, 8, 17, 33, 70]))
    given |= {"isa": pick(isas()), "threads": pick([1, 2, 3])}
    return {**given, "bias": None} if chooser.random() < 0.3 else given


def _any_attention(chooser: random.Random) -> Given:
    pick = chooser.choice
    given = attention(pick([0, 1, 2, 5, 17]), pick([1, 2, 7, 16]), pick([1, 3, 8, 17, 33]), pick([1, 2, 15, 33, 130]))
    return {**given, "isa": pick(isas()), "threads": pick([1, 2, 3])}


def _any_backward(chooser: random.Random, given: Given) -> Given:
    after = backward(given)
    after["dy"] = _laid_out(chooser, after["dy"])
    after |= {name: None for name in ("dy", "dh", "dc", "dx", "dbias", "dbias_n") if chooser.random() < 0.3}
    if chooser.random() < 0.2:
        after |= dict.fromkeys(("dweight_x", "dweight_h", "dbias", "dbias_n"))
    return after


def _laid_out(chooser: random.Random, value: Tensor) -> Tensor:
    """The same numbers (B, T, n) in another layout that the kernels take."""
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
