"""The checks of torch's own module tests, on our classes, over torch's own inputs; all compared with torch.nn.

Torch's tests are not part of its package, but their database of modules, inputs, errors and reference functions is.
"""

from __future__ import annotations

import copy
import io
import itertools
import pickle
import warnings
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.autograd import gradcheck, gradgradcheck
from torch.utils import _pytree as pytree

from torchs_database import NAMES, Sample, error_samples, samples, tensors
from unrolled import nn as fast

pytest.importorskip("expecttest", reason="torch's database of modules needs expecttest (extra dev)")

DTYPES = [torch.float32, torch.float64, torch.float16, torch.bfloat16]
MODES = [pytest.param(True, id="train"), pytest.param(False, id="eval")]
every_class = pytest.mark.parametrize("name", NAMES)
every_dtype = pytest.mark.parametrize("dtype", DTYPES, ids=str)
every_mode = pytest.mark.parametrize("training", MODES)


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    """Ignore torch's own warnings: prototypes, oneDNN and projections."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def same(ours: Any, theirs: Any) -> None:
    """Assert equal values, shapes, dtypes and requires_grad, up to rounding."""
    assert pytree.tree_structure(ours) == pytree.tree_structure(theirs)
    for a, b in zip(tensors(ours), tensors(theirs), strict=True):
        limits = {torch.float16: 5e-3, torch.bfloat16: 3e-2, torch.float64: 1e-12}
        limit = limits.get(b.dtype, 1e-5)
        largest = max(1.0, float(b.detach().abs().max())) if b.numel() else 1.0
        torch.testing.assert_close(a, b, rtol=limit, atol=limit * largest)
        assert a.requires_grad == b.requires_grad


def backward(module: nn.Module, arguments: tuple[Any, ...]) -> tuple[Any, list[Tensor | None]]:
    """Return the outputs, and the gradients of arguments and parameters from fixed random gradients of the outputs."""
    y = module(*arguments)
    outputs = [leaf for leaf in tensors(y) if leaf.requires_grad]
    generator = torch.Generator().manual_seed(1)
    directions = [torch.randn(leaf.shape, generator=generator).to(leaf.dtype) for leaf in outputs]
    wanted = [t for t in (*tensors(arguments), *module.parameters()) if t.requires_grad]
    return y, list(torch.autograd.grad(outputs, wanted, directions, allow_unused=True))


@every_class
@every_dtype
@every_mode
@pytest.mark.parametrize("grad", [False, True])
def test_forward(name: str, dtype: torch.dtype, training: bool, grad: bool) -> None:
    for sample in samples(name, dtype, training=training, packed=True):
        theirs, ours = sample.pair(dtype, training=training)
        with torch.set_grad_enabled(grad):
            y = ours(*sample.arguments)
            same(y, theirs(*sample.arguments))
            if sample.reference is not None and all(isinstance(t, Tensor) for t in sample.arguments[:1]):
                same(y, sample.reference(ours, *sample.arguments))
                same(y, sample.reference(theirs, *sample.arguments))


@every_class
@every_dtype
@every_mode
def test_backward(name: str, dtype: torch.dtype, training: bool) -> None:
    for sample in samples(name, dtype, requires_grad=True, training=training):
        theirs, ours = sample.pair(dtype, training=training)
        (y, gradients), (expected, their_gradients) = (backward(m, sample.fresh()) for m in (ours, theirs))
        same(y, expected)
        same(gradients, their_gradients)


@every_class
@every_dtype
def test_factory_arguments(name: str, dtype: torch.dtype) -> None:
    for sample in samples(name, dtype):
        for namespace, device in itertools.product((nn, fast), ("cpu", "meta")):
            made = getattr(namespace, name)(
                *sample.construction[0], **sample.construction[1], device=device, dtype=dtype
            )
            assert {p.dtype for p in made.parameters()} == {dtype}
            assert {p.device.type for p in made.parameters()} == {device}


@every_class
@every_dtype
def test_repr_and_parameters(name: str, dtype: torch.dtype) -> None:
    for sample in samples(name, dtype):
        theirs, ours = sample.pair(dtype)
        assert repr(ours) == repr(theirs)
        assert str(ours) == str(theirs)
        assert [n for n, _ in ours.named_parameters()] == [n for n, _ in theirs.named_parameters()]
        assert list(ours.named_buffers()) == list(theirs.named_buffers()) == []
        same([*ours.parameters()], [*theirs.parameters()])  # the same draws of the generator
        assert ours.state_dict().keys() == theirs.state_dict().keys()
        theirs.load_state_dict(ours.state_dict())
        ours.load_state_dict(theirs.state_dict())


@every_class
@every_dtype
@every_mode
def test_copies_and_files(name: str, dtype: torch.dtype, training: bool) -> None:
    for sample in samples(name, dtype, training=training):
        _, ours = sample.pair(dtype, training=training)
        y = ours(*sample.arguments)
        file = io.BytesIO()
        torch.save(ours, file)
        file.seek(0)
        loaded = torch.load(file, weights_only=False)
        for copied in (loaded, pickle.loads(pickle.dumps(ours)), copy.deepcopy(ours)):
            assert type(copied) is type(ours)
            assert copied.training is training
            same(copied(*sample.arguments), y)


def stepped(value: Any) -> Any:
    """Return the tensors with gaps in memory."""
    return pytree.tree_map(
        lambda t: torch.repeat_interleave(t.detach(), 2, dim=-1)[..., ::2].requires_grad_(t.requires_grad), value
    )


@every_class
@every_dtype
@every_mode
def test_tensors_that_are_not_contiguous(name: str, dtype: torch.dtype, training: bool) -> None:
    narrow = dtype in (torch.float16, torch.bfloat16)
    found_samples = samples(name, dtype, requires_grad=True, training=training)
    for sample in itertools.islice(found_samples, 0, None, 3 if narrow else 1):
        for make, weights in itertools.product((Sample.fresh, lambda sample: stepped(sample.arguments)), (False, True)):
            found = []
            for module in sample.pair(dtype, training=training):
                if weights:
                    for p in module.parameters():
                        p.data = stepped(p.data)
                found.append(backward(module, make(sample)))
            same(found[1], found[0])


def checked(check: Any, name: str, *, training: bool, every: int) -> None:
    """Run a numerical check of all derivatives together, then of each parameter alone."""
    for sample in itertools.islice(samples(name, torch.float64, requires_grad=True, training=training), 0, None, every):
        _, ours = sample.pair(torch.float64, training=training)
        flat, spec = pytree.tree_flatten(sample.fresh())
        parameters = list(ours.parameters())

        def call(*values: Tensor, ours: nn.Module = ours, spec: Any = spec, count: int = len(flat)) -> list[Tensor]:
            return tensors(ours(*pytree.tree_unflatten(list(values[:count]), spec)))

        assert check(call, (*flat, *parameters), fast_mode=True)
        for chosen in parameters:
            for p in parameters:
                p.requires_grad_(p is chosen)
            assert check(call, (*(t.detach() for t in flat), *parameters), fast_mode=True)


@every_class
@every_mode
def test_gradcheck(name: str, training: bool) -> None:
    checked(gradcheck, name, training=training, every=1 if "Cell" in name else 5)


@every_class
def test_gradgradcheck(name: str) -> None:
    checked(gradgradcheck, name, training=True, every=1 if "Cell" in name else 11)


@every_class
@every_mode
def test_second_derivatives_in_float32(name: str, training: bool) -> None:
    for sample in samples(name, torch.float32, requires_grad=True, training=training):
        found = []
        for module in sample.pair(torch.float32, training=training):
            arguments = sample.fresh()
            wanted = [*tensors(arguments), *module.parameters()]
            y = sum((leaf * leaf).sum() for leaf in tensors(module(*arguments)))
            first = torch.autograd.grad(y, wanted, create_graph=True)
            found.append(torch.autograd.grad(sum((g * g).sum() for g in first), wanted))
        for a, b in zip(*found, strict=True):
            torch.testing.assert_close(b, a, rtol=1e-4, atol=1e-4 * max(1.0, float(a.abs().max())))


@every_class
@every_dtype
@every_mode
def test_memory_format(name: str, dtype: torch.dtype, training: bool) -> None:
    for sample in samples(name, dtype, requires_grad=True, training=training):
        theirs, ours = sample.pair(dtype, training=training)
        expected, their_gradients = backward(theirs, sample.fresh())
        for form in (torch.preserve_format, torch.contiguous_format):
            y, gradients = backward(ours.to(memory_format=form), sample.fresh())
            same(y, expected)
            for a, b in zip(tensors((y, gradients)), tensors((expected, their_gradients)), strict=True):
                assert a.is_contiguous() or not b.is_contiguous()
                assert a.stride() == b.stride()


@every_class
@every_dtype
def test_a_module_without_training(name: str, dtype: torch.dtype) -> None:
    """Torch's layers read the attribute in every call; ours may do without it."""
    for sample in samples(name, dtype):
        outcomes: list[Any] = []
        for module in sample.pair(dtype):
            del module.training
            try:
                outcomes.append([t.shape for t in tensors(module(*sample.arguments))])
            except AttributeError as error:
                outcomes.append(str(error))
        assert outcomes[0] == outcomes[1] or "'training'" in outcomes[0]


@every_class
@every_dtype
def test_meta_device(name: str, dtype: torch.dtype) -> None:
    for sample in samples(name, dtype):
        with torch.device("meta"):
            theirs, ours = sample.pair(dtype)
        assert all(p.is_meta for p in ours.parameters())
        for a, b in zip(ours.parameters(), theirs.parameters(), strict=True):
            assert (a.shape, a.stride(), a.dtype) == (b.shape, b.stride(), b.dtype)
        _, real = sample.pair(dtype)
        filled = ours.to_empty(device="cpu")
        filled.load_state_dict(real.state_dict())
        same(filled(*sample.arguments), real(*sample.arguments))


@every_class
@pytest.mark.parametrize("way", list(itertools.permutations(DTYPES, 2)), ids=str)
def test_conversions(name: str, way: tuple[torch.dtype, torch.dtype]) -> None:
    before, after = way
    for sample in itertools.islice(samples(name, after), 4):
        theirs, ours = (m.to(after) for m in sample.pair(before))
        same([*ours.parameters()], [*theirs.parameters()])
        same(ours(*sample.arguments), theirs(*sample.arguments))
        with pytest.raises((ValueError, RuntimeError)) as expected:
            theirs(*tensors_as(sample.arguments, before))
        with pytest.raises(type(expected.value)) as found:
            ours(*tensors_as(sample.arguments, before))
        assert str(found.value) == str(expected.value)


def tensors_as(value: Any, dtype: torch.dtype) -> Any:
    return pytree.tree_map(lambda t: t.to(dtype), value)


@every_class
@every_dtype
def test_errors(name: str, dtype: torch.dtype) -> None:
    for sample, error, pattern, by_call in error_samples(name, dtype):
        messages = []
        for namespace in (nn, fast):
            make = getattr(namespace, name)
            if not by_call:
                with pytest.raises(error, match=pattern) as raised:
                    make(*sample.construction[0], **sample.construction[1])
            else:
                module = make(*sample.construction[0], **sample.construction[1])
                with pytest.raises(error, match=pattern) as raised:
                    module(*sample.arguments)
            messages.append(str(raised.value))
        assert messages[0] == messages[1]


def test_the_database_has_all_classes() -> None:
    found = {name: len(list(samples(name, torch.float32, packed=True))) for name in NAMES}
    assert found["RNN"] >= 64
    assert all(found.values())
    assert all(isinstance(sample, Sample) for sample in samples("GRU", torch.float32))
