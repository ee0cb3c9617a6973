"""Our modules for tools that look at a module's type or code: torch.jit.script, torch.fx and torch.compile."""

from __future__ import annotations

import copy
from collections.abc import Callable
from functools import cache
from typing import Any, ClassVar, cast

import torch
from torch import fx, nn

__all__ = ["Twin", "call_module", "compiles_frames", "untraced"]

compiles_frames: Callable[[], Any] = torch._C._dynamo.eval_frame.get_eval_frame_callback
"""Whether torch.compile compiles the functions that are called now.

It does not trace recurrent modules, torch's or ours, unless torch._dynamo.config.allow_rnn is set: it breaks its graph,
calls `forward`, and would compile each function below by itself. Ours are as fast as they can be, see `untraced`.
"""


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


@cache
def untraced(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return the function such that torch.compile compiles nothing that it calls."""
    return cast(Callable[..., Any], torch.compiler.disable(function))  # type: ignore[no-untyped-call]
