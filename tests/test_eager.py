"""eager: the kernels compute plain eager calls, and nothing that records or transforms one."""

import warnings
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

import pytest
import torch
from torch import Tensor
from torch.autograd import forward_ad
from torch.fx.experimental.proxy_tensor import make_fx
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode

from unrolled.eager import eager
from unrolled.kernels import native
from unrolled.kernels.native import Recurrence


class Named(Tensor):
    pass


class Functions(TorchFunctionMode):
    def __torch_function__(self, function, types, args=(), kwargs=None):
        return function(*args, **(kwargs or {}))


class Operations(TorchDispatchMode):
    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        return function(*args, **(kwargs or {}))


@contextmanager
def default_device() -> Iterator[None]:
    torch.set_default_device("cpu")
    try:
        yield
    finally:
        torch.set_default_device(None)


@pytest.mark.parametrize(
    "around",
    [nullcontext(), torch.no_grad(), torch.inference_mode(), torch.device("cpu"), default_device()],
    ids=["plain", "no_grad", "inference_mode", "device", "default device"],
)
def test_plain_calls(around: AbstractContextManager[None]) -> None:
    with around:
        assert eager(torch.ones(2), torch.nn.Parameter(torch.ones(2)), torch.ones(2, requires_grad=True)[:1], None)


@pytest.mark.parametrize("around", [Functions(), Operations(), FlopCounterMode(display=False), forward_ad.dual_level()])
def test_modes_and_levels(around: AbstractContextManager[None]) -> None:
    with around:
        assert not eager(torch.ones(2))
    assert eager(torch.ones(2))


def traced(function: Callable[[Tensor], Tensor], x: Tensor) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.trace(function, x, check_trace=False)


@pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated")  # in torch's own jvp
@pytest.mark.parametrize(
    "run",
    [
        traced,
        lambda f, x: make_fx(f)(x),
        lambda f, x: make_fx(f, tracing_mode="fake")(x),
        lambda f, x: torch.func.grad(lambda x: f(x).sum())(x),
        lambda f, x: torch.func.vmap(f)(x),
        lambda f, x: torch.func.jvp(f, (x,), (x,)),
        lambda f, x: torch.func.functionalize(f)(x),
    ],
    ids=["trace", "make_fx", "make_fx fake", "grad", "vmap", "jvp", "functionalize"],
)
def test_tracers_and_transforms(run: Callable[[Callable[[Tensor], Tensor], Tensor], object]) -> None:
    seen = []

    def function(x: Tensor) -> Tensor:
        seen.append(eager(x))
        return x * 2

    run(function, torch.ones(2, 2))
    assert seen
    assert not any(seen)
    assert eager(torch.ones(2))


@pytest.mark.parametrize(
    "tensor",
    [
        torch.ones(2).as_subclass(Named),
        torch.ones(2, dtype=torch.complex64).conj().imag,
        torch._efficientzerotensor(2),
        torch.ones(2, 2).to_sparse(),
        torch.ones(2, 2).to_mkldnn(),
        torch.ones(2, device="meta"),
    ],
    ids=["subclass", "negated", "zero", "sparse", "mkldnn", "meta"],
)
def test_tensors_with_values_elsewhere(tensor: Tensor) -> None:
    assert not eager(tensor)


@pytest.mark.skipif(not native.compiled(), reason="no kernels were compiled here")
def test_the_recurrences_have_the_kernels_numbers() -> None:
    assert {name: value for name, value in vars(Recurrence).items() if name.isupper()} == {
        name: getattr(native.kernels, name) for name in ("ELMAN", "ELMAN_RELU", "GRU", "LSTM")
    }
