"""Gradients of a kernel's result by autograd, for backward passes that the kernels do not compute."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

__all__ = ["gradients_of"]


def gradients_of(
    definition: Callable[..., Sequence[Tensor | None]],
    inputs: Sequence[Tensor | None],
    needed: Sequence[bool],
    gradients: Sequence[Tensor | None],
) -> tuple[Tensor | None, ...]:
    """Return the gradients of `definition(*inputs)`, computed from torch's own operations.

    They can be differentiated again if gradients are enabled, as in a backward pass with create_graph, and they can be
    batched, recorded and transformed, as torch's are.

    Args:
        definition: the same function as the kernel's, in torch's operations.
        inputs: its arguments.
        needed: whether the gradient of each is requested.
        gradients: gradients of its results; None is zero.

    Returns:
        A gradient for each input, None where it is not needed or the result does not depend on the input.
    """
    again = torch.is_grad_enabled()
    with torch.enable_grad():
        # An alias for each input: the gradient of one must not include paths through another that was computed from it.
        arguments = [
            t if t is None or not need else t.view_as(t) if again else t.detach().requires_grad_()
            for t, need in zip(inputs, needed, strict=True)
        ]
        pairs = [
            (result, gradient)
            for result, gradient in zip(definition(*arguments), gradients, strict=True)
            if result is not None and gradient is not None and result.requires_grad
        ]
        wanted = [t for t, need in zip(arguments, needed, strict=True) if t is not None and need]
        if not pairs:
            return (None,) * len(inputs)
        results, of_results = zip(*pairs, strict=True)
        found = iter(torch.autograd.grad(results, wanted, of_results, create_graph=again, allow_unused=True))
    return tuple(next(found) if need else None for need in needed)
