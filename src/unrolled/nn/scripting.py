"""Our modules for tools that look at a module's type or code: torch.jit.script and torch.fx."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any, ClassVar, cast

from torch import fx, nn

__all__ = ["Twin", "call_module"]


class Twin(nn.Module):
    """Base class of the modules that compute the same as one of torch's, with the same parameters."""

    twin: ClassVar[type[nn.Module]]

    def __prepare_scriptable__(self) -> nn.Module:
        """Return torch's own module with the same parameters, which torch.jit.script compiles instead of ours."""
        theirs: nn.Module = copy.copy(self)
        theirs.__class__ = self.twin
        return theirs


def call_module(module: nn.Module, forward: Callable[..., Any], input: fx.Proxy, hx: Any) -> Any:
    """Record a call of the module as one node of a graph, as torch.fx does for torch's own modules.

    Args:
        module: one of ours.
        forward: torch's own, called if the module is itself the root of the graph.
        input, hx: arguments of the call.
    """
    tracer = cast(fx.Tracer, input.tracer)
    if module is tracer.root:
        return forward(input, hx)
    arguments = (input,) if hx is None else (input, hx)
    return tracer.create_proxy("call_module", tracer.path_of_module(module), arguments, {})
