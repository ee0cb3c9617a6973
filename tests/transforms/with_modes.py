"""Modes and kinds of tensors: fake, meta, function and dispatch modes, subclasses, counters, default devices."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch._subclasses import FakeTensorMode
from torch.overrides import TorchFunctionMode
from torch.utils import _pytree as pytree
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode

from transforms.sides import FEW, KINDS, transform
from transforms.with_arguments import zeros
from transforms.with_autograd import first, leaves, total
from unwritten import Doubled


def described(value: Any) -> Any:
    """Return shapes, strides, dtypes and devices."""
    return [(list(y.shape), list(y.stride()), str(y.dtype), str(y.device), y.requires_grad) for y in leaves(value)]


@transform("FakeTensorMode")
def fake(m: nn.Module, x: Tensor) -> Any:
    with FakeTensorMode(allow_non_fake_inputs=True) as mode:
        y = m(mode.from_tensor(x))
        return described(y), [type(leaf).__name__ for leaf in leaves(y)]


@transform("FakeTensorMode, no_grad")
def fake_no_grad(m: nn.Module, x: Tensor) -> Any:
    with torch.no_grad(), FakeTensorMode(allow_non_fake_inputs=True) as mode:
        return described(m(mode.from_tensor(x)))


@transform("FakeTensorMode, built inside")
def fake_built(m: nn.Module, x: Tensor) -> Any:
    with FakeTensorMode():
        fresh = type(m)(3, 4)
        y = fresh(torch.randn(5, 2, 3) if isinstance(m, nn.RNNBase) else torch.randn(2, 3))
        total(y).backward()
        return described(y), described([p.grad for p in fresh.parameters()])


@transform("fake tensors outside of the mode")
def fake_outside(m: nn.Module, x: Tensor) -> Any:
    mode = FakeTensorMode(allow_non_fake_inputs=True)
    return described(m(mode.from_tensor(x)))


@transform("fake tensors outside of the mode, no_grad")
def fake_outside_no_grad(m: nn.Module, x: Tensor) -> Any:
    mode = FakeTensorMode(allow_non_fake_inputs=True)
    with torch.no_grad():
        return described(m(mode.from_tensor(x)))


@transform("meta device")
def meta(m: nn.Module, x: Tensor) -> Any:
    m = m.to("meta")
    y = m(x.to("meta"))
    total(y).backward()
    return described(y), described([p.grad for p in m.parameters()])


@transform("meta device, no_grad, with a state")
def meta_no_grad(m: nn.Module, x: Tensor) -> Any:
    m, x = m.to("meta"), x.to("meta")
    with torch.no_grad():
        return described(m(x)), described(m(x, zeros(m, x)))


@transform("meta input of a module on the CPU")
def meta_input(m: nn.Module, x: Tensor) -> Any:
    m(x.to("meta"))


@transform("default device meta")
def default_device(m: nn.Module, x: Tensor) -> Any:
    with torch.device("meta"):
        fresh = type(m)(3, 4)
        y = fresh(torch.randn(5, 2, 3) if isinstance(m, nn.RNNBase) else torch.randn(2, 3))
        return described(y), described(fresh.parameters())


@transform("default device meta, module on the CPU")
def default_device_later(m: nn.Module, x: Tensor) -> Any:
    with torch.device("meta"):
        return m(x)


@transform("set_default_device and set_default_dtype")
def defaults(m: nn.Module, x: Tensor) -> Any:
    torch.set_default_device("cpu")
    torch.set_default_dtype(torch.float64)
    try:
        y = m(x)
        total(y).backward()
        return y, [str(leaf.dtype) for leaf in leaves(y)], [p.grad for p in m.parameters()]
    finally:
        torch.set_default_dtype(torch.float32)
        torch.set_default_device(None)


class _Operators(TorchDispatchMode):
    """The operators that ran, with the number of their tensors."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[str] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.seen.append(str(func))
        return func(*args, **(kwargs or {}))


@transform("TorchDispatchMode")
def dispatch(m: nn.Module, x: Tensor) -> Any:
    with _Operators() as mode:
        y = m(x)
    total(y).backward()
    return y, mode.seen, [p.grad for p in m.parameters()]


@transform("TorchDispatchMode, no_grad")
def dispatch_no_grad(m: nn.Module, x: Tensor) -> Any:
    with torch.no_grad(), _Operators() as mode:
        y = m(x)
    return y, mode.seen


@transform("TorchDispatchMode around backward alone")
def dispatch_backward(m: nn.Module, x: Tensor) -> Any:
    loss = total(m(x))
    with _Operators() as mode:
        loss.backward()
    return [p.grad for p in m.parameters()], len(mode.seen) > 0


class _Doubling(TorchDispatchMode):
    """A mode that changes results: every tanh is doubled."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        y = func(*args, **(kwargs or {}))
        return y * 2 if func is torch.ops.aten.tanh.default else y


@transform("TorchDispatchMode that changes results")
def dispatch_changed(m: nn.Module, x: Tensor) -> Any:
    with torch.no_grad(), _Doubling():
        return m(x)


class _Functions(TorchFunctionMode):
    """The functions that were called."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[str] = []

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.seen.append(getattr(func, "__name__", str(func)))
        return func(*args, **(kwargs or {}))


@transform("TorchFunctionMode")
def functions(m: nn.Module, x: Tensor) -> Any:
    with _Functions() as mode:
        y = m(x)
    heavy = ("rnn_tanh", "rnn_relu", "lstm", "gru", "rnn_tanh_cell", "rnn_relu_cell", "lstm_cell", "gru_cell")
    return y, [name for name in mode.seen if name in heavy]


@transform("flop counter")
def flops(m: nn.Module, x: Tensor) -> Any:
    with FlopCounterMode(display=False) as counter:
        total(m(x)).backward()
    return counter.get_total_flops()


class _Named(Tensor):
    """A subclass without methods of its own."""


@transform("subclass of Tensor")
def subclass(m: nn.Module, x: Tensor) -> Any:
    y = m(x.as_subclass(_Named))
    return [leaf.as_subclass(Tensor) for leaf in leaves(y)], [type(leaf).__name__ for leaf in leaves(y)]


@transform("subclass of Tensor, no_grad")
def subclass_no_grad(m: nn.Module, x: Tensor) -> Any:
    with torch.no_grad():
        y = m(x.as_subclass(_Named))
    return [leaf.as_subclass(Tensor) for leaf in leaves(y)], [type(leaf).__name__ for leaf in leaves(y)]


@transform("wrapper subclass")
def wrapper(m: nn.Module, x: Tensor) -> Any:
    with torch.no_grad():
        return m(Doubled(x))


@transform("wrapper subclass as a parameter")
def wrapper_parameter(m: nn.Module, x: Tensor) -> Any:
    name = next(name for name, _ in m.named_parameters())
    values = {name: Doubled(getattr(m, name).detach())}
    with torch.no_grad():
        return torch.func.functional_call(m, values, (x,))


class _Answering:
    """An object that is no tensor and answers torch's functions."""

    def __init__(self, x: Tensor) -> None:
        self.x = x

    def __getattr__(self, name: str) -> Any:
        return getattr(self.x, name)

    @classmethod
    def __torch_function__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        plain = pytree.tree_map(lambda t: t.x if isinstance(t, cls) else t, (args, kwargs or {}))
        return func(*plain[0], **plain[1])


@transform("object with __torch_function__")
def answering(m: nn.Module, x: Tensor) -> Any:
    return m(_Answering(x))


@transform("negative and conjugate views")
def lazy_views(m: nn.Module, x: Tensor) -> Any:
    y = torch.complex(x, x.cos()).conj()
    return m(torch._neg_view(x)), m(y.imag), torch.autograd.grad(total(m(y.imag)), list(m.parameters()))


@transform("negative view as the state", on=FEW)
def lazy_state(m: nn.Module, x: Tensor) -> Any:
    state = zeros(m, x)
    turned = [torch._neg_view(s + 0.3) for s in leaves(state)]
    return m(x, tuple(turned) if isinstance(state, tuple) else turned[0])


@transform("negative view as a parameter", on=FEW)
def lazy_parameter(m: nn.Module, x: Tensor) -> Any:
    values = {name: torch._neg_view(p.detach()) for name, p in m.named_parameters()}
    return torch.func.functional_call(m, values, (x,))


# Not of LSTM layers: torch's read the memory that a lazy zero does not have, and answer anything.
@transform("zero tensor", on=[kind for kind in KINDS if kind.layer != "LSTM"])
def zero_tensor(m: nn.Module, x: Tensor) -> Any:
    return m(torch._efficientzerotensor(x.shape))


@transform("quantised and nested tensors")
def other_layouts(m: nn.Module, x: Tensor) -> Any:
    from transforms.with_arguments import every

    found = every(
        lambda: m(torch.quantize_per_tensor(x, 0.1, 0, torch.qint8)),
        lambda: m(torch.nested.nested_tensor([x[0], x[0, :1] if x.dim() == 3 else x[1]])),
        lambda: m(x.to_mkldnn()),
    )
    return [str(e).split(":")[0] for e in found]


@transform("CrossRef of fake tensors", on=FEW)
def cross_ref(m: nn.Module, x: Tensor) -> Any:
    from torch._subclasses.fake_utils import CrossRefFakeMode

    with torch.no_grad(), CrossRefFakeMode(ignore_op_fn=lambda f: "mkldnn" in str(f)):
        return first(m, x)


@transform("profiler", on=FEW)
def profiler(m: nn.Module, x: Tensor) -> Any:
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as found:
        y = m(x)
    return y, len(found.key_averages()) > 0
