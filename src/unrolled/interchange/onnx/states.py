"""States as nested tuples of leaves: the shape of each leaf, its name as an input and output, and its place."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from unrolled.interchange.onnx.graph import Shape

__all__ = ["Leaf", "filled", "flat", "named"]


@dataclass(frozen=True)
class Leaf:
    """A tensor of a state.

    Args:
        shape: its shape without the batch, which comes first.
        dtype: its type.
    """

    shape: Shape
    dtype: str = "float32"


def flat(state: Any) -> list[Any]:
    """Return the leaves of a state, in order; see `unrolled.state.leaves`, which takes tensors only."""
    return [leaf for _, leaf in named(state)]


def named(state: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the name and value of each leaf: layers.0.h for `State(layers=(LSTMState(h, …), …))`."""
    if isinstance(state, tuple):
        keys = getattr(state, "_fields", range(len(state)))
        for key, field in zip(keys, state, strict=True):
            yield from named(field, f"{path}.{key}" if path else str(key))
    elif state is not None:
        yield path, state


def filled(state: Any, leaves: Sequence[Any]) -> Any:
    """Return leaves as a state with the structure of `state`: the inverse of `flat`."""
    rest = iter(leaves)
    return _mapped(lambda _: next(rest), state)


def _mapped(change: Callable[[Any], Any], state: Any) -> Any:
    if not isinstance(state, tuple):
        return change(state)
    fields = [_mapped(change, field) for field in state]
    return type(state)._make(fields) if hasattr(state, "_make") else tuple(fields)
