"""torch.nn and unrolled.nn side by side, for the cases."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils import _pytree as pytree

from unrolled import nn as fast

KINDS = ("RNN", "GRU", "LSTM", "RNNCell", "GRUCell", "LSTMCell")


def pair(kind: str, **options: Any) -> tuple[nn.Module, nn.Module, Tensor]:
    """Return torch's module, ours with the same weights, and an input."""
    torch.manual_seed(0)
    theirs = getattr(nn, kind)(5, 7, **options)
    return theirs, fast.convert(copy.deepcopy(theirs)), torch.randn(4, 5) if "Cell" in kind else torch.randn(6, 4, 5)


def leaves(value: Any) -> list[Tensor]:
    """Return the tensors of a result."""
    return [leaf for leaf in pytree.tree_leaves(value) if isinstance(leaf, Tensor)]


def equal(ours: Any, theirs: Any) -> None:
    """Assert equal tensors."""
    for a, b in zip(leaves(ours), leaves(theirs), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-5)


def outcome(function: Callable[[], Any]) -> Any:
    """Return the value of a call, or the type and message of its error."""
    try:
        return function()
    except Exception as error:  # noqa: BLE001  (to be compared)
        return f"{type(error).__name__}: {error}"


@contextmanager
def quiet() -> Iterator[None]:
    """Ignore torch's warnings about deprecated functions."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def on_every_kind(run: Callable[[nn.Module, Tensor], Any], kinds: tuple[str, ...] = KINDS) -> None:
    """Assert that a function of module and input returns the same on both sides."""
    for kind in kinds:
        theirs, ours, x = pair(kind)
        with quiet():
            equal(run(ours, x.clone()), run(theirs, x.clone()))
