"""The inputs of torch's own module tests (`torch.testing._internal.common_modules`), for its classes and for ours."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from functools import cache
from typing import Any, NamedTuple

import hypothesis
import torch
from torch import Tensor, nn
from torch.utils import _pytree as pytree

from unrolled import nn as fast

__all__ = ["NAMES", "Sample", "error_samples", "samples", "tensors"]

NAMES = ("RNN", "GRU", "LSTM", "RNNCell", "GRUCell", "LSTMCell")


class Sample(NamedTuple):
    """A construction and a call; reference: torch's function of the right outputs, of the module and the arguments."""

    name: str
    construction: tuple[tuple[Any, ...], dict[str, Any]]
    arguments: tuple[Any, ...]
    reference: Any = None

    def pair(self, dtype: torch.dtype, *, training: bool = True, **options: Any) -> tuple[nn.Module, nn.Module]:
        """Build torch's module and ours with the same weights."""
        (sizes, own), made = self.construction, []
        for namespace in (nn, fast):
            torch.manual_seed(0)
            made.append(getattr(namespace, self.name)(*sizes, **{**own, **options}).to(dtype).train(training))
        return made[0], made[1]

    def fresh(self) -> tuple[Any, ...]:
        """Return copies of the arguments that are leaves."""
        return pytree.tree_map(lambda t: t.detach().clone().requires_grad_(t.requires_grad), self.arguments)


@cache
def _database() -> Any:
    """Import the database without what its import changes: hypothesis's profile."""
    profile = hypothesis.settings.get_current_profile_name()
    module = importlib.import_module("torch.testing._internal.common_modules")
    hypothesis.settings.load_profile(profile)
    return module


def _info(name: str) -> Any:
    return next(info for info in _database().module_db if info.module_cls is getattr(nn, name))


def _options(dtype: torch.dtype, *, requires_grad: bool, training: bool) -> dict[str, Any]:
    return {"device": "cpu", "dtype": dtype, "requires_grad": requires_grad, "training": training}


def samples(
    name: str, dtype: torch.dtype, *, requires_grad: bool = False, training: bool = True, packed: bool = False
) -> Iterator[Sample]:
    """Yield the samples of a class. packed: with packed sequences, which torch has for RNN and GRU."""
    info = _info(name)
    options = _options(dtype, requires_grad=requires_grad, training=training)
    if packed and name in ("RNN", "GRU"):
        options["with_packed_sequence"] = True
    torch.manual_seed(0)
    for found in info.module_inputs_func(info, **options):
        construction, call = found.constructor_input, found.forward_input
        assert not call.kwargs
        yield Sample(name, (construction.args, dict(construction.kwargs)), call.args, found.reference_fn)


def error_samples(name: str, dtype: torch.dtype) -> Iterator[tuple[Sample, type[Exception], str, bool]]:
    """Yield samples that raise an error, with its type, a pattern of its message, and True if the call raises it."""
    info, kinds = _info(name), _database().ModuleErrorEnum
    for found in info.module_error_inputs_func(info, **_options(dtype, requires_grad=False, training=True)):
        wrong = found.module_error_input
        construction, call = wrong.constructor_input, wrong.forward_input
        sample = Sample(name, (construction.args, dict(construction.kwargs)), call.args if call else ())
        yield sample, found.error_type, found.error_regex, found.error_on is kinds.FORWARD_ERROR


def tensors(value: Any) -> list[Tensor]:
    """Return the tensors of arguments or results, packed sequences included."""
    return [leaf for leaf in pytree.tree_leaves(value) if isinstance(leaf, Tensor)]
