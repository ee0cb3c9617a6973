"""Everything that records a computation and runs it again: on other inputs, after a change of the weights.

Uninitialised memory is filled with NaN when a recording runs, so that an output which no recorded operation writes is
never right by chance.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import torch
from functorch.compile import aot_function, aot_module, nop
from torch import Tensor, fx, nn
from torch.fx.experimental.proxy_tensor import make_fx

from transforms.sides import CELLS, FEW, LAYERS, TWO, transform
from transforms.with_arguments import packed, zeros
from transforms.with_autograd import first, leaves, total
from transforms.with_func import weights
from unwritten import new_memory_is_nan


def backward_thrice(m: nn.Module, recorded: nn.Module, x: Tensor) -> list[Tensor | None]:
    """Return the gradients of the parameters after the third call, which torch may have optimised."""
    for _ in range(3):
        m.zero_grad()
        total(recorded(x)).backward()
    return [p.grad for p in m.parameters()]


def replayed(m: nn.Module, x: Tensor, recording: Callable[..., Any]) -> Any:
    """Return the results of a recording on x, on another input, and with other weights."""
    with new_memory_is_nan():
        found = [recording(x), recording(x.cos())]
        with torch.no_grad():
            for p in m.parameters():
                p.mul_(0.5)
        return [leaves(y) for y in (*found, recording(x))]


@transform("jit.trace")
def jit_trace(m: nn.Module, x: Tensor) -> Any:
    return replayed(m, x, torch.jit.trace(m, x))


@transform("jit.trace, no_grad")
def jit_trace_no_grad(m: nn.Module, x: Tensor) -> Any:
    with torch.no_grad():
        return replayed(m, x, torch.jit.trace(m, x))


@transform("jit.trace, no_grad, unchecked")
def jit_trace_unchecked(m: nn.Module, x: Tensor) -> Any:
    with torch.no_grad():
        return replayed(m, x, torch.jit.trace(m, x, check_trace=False))


@transform("jit.trace, inference_mode")
def jit_trace_inference(m: nn.Module, x: Tensor) -> Any:
    with torch.inference_mode():
        return replayed(m, x, torch.jit.trace(m, x))


@transform("jit.trace, frozen parameters")
def jit_trace_frozen(m: nn.Module, x: Tensor) -> Any:
    return replayed(m, x, torch.jit.trace(m.requires_grad_(False), x))


@transform("jit.trace, with a state")
def jit_trace_state(m: nn.Module, x: Tensor) -> Any:
    with torch.no_grad():
        state = zeros(m, x)
        traced = torch.jit.trace(m, (x, state))
        return replayed(m, x, lambda x: traced(x, state))


@transform("jit.trace of another length", on=LAYERS)
def jit_trace_length(m: nn.RNNBase, x: Tensor) -> Any:
    with torch.no_grad():
        traced = torch.jit.trace(m, x)
    return replayed(m, torch.cat([x, x], dim=1 if m.batch_first else 0), traced)


@transform("jit.trace, then backward", on=FEW)
def jit_trace_backward(m: nn.Module, x: Tensor) -> Any:
    traced = torch.jit.trace(m, x)
    return backward_thrice(m, traced, x)


class _Model(nn.Module):
    """A model that contains the module."""

    def __init__(self, m: nn.Module) -> None:
        super().__init__()
        self.recurrent, self.out = m, nn.Linear(m.hidden_size * (2 if getattr(m, "bidirectional", False) else 1), 2)

    def forward(self, x: Tensor) -> Tensor:
        y = self.recurrent(x)
        return self.out((y[0] if isinstance(y, tuple) else y).relu())


def model(m: nn.Module) -> _Model:
    """Return a model with the module, with the same weights each time."""
    torch.manual_seed(6)
    return _Model(m)


@transform("jit.trace of a model, frozen, saved and loaded")
def jit_trace_model(m: nn.Module, x: Tensor) -> Any:
    with torch.no_grad():
        traced = torch.jit.freeze(torch.jit.trace(model(m).eval(), x))
        file = io.BytesIO()
        torch.jit.save(traced, file)
        file.seek(0)
        return replayed(m, x, torch.jit.load(file))


@transform("jit.trace_module")
def jit_trace_module(m: nn.Module, x: Tensor) -> Any:
    with torch.no_grad():
        return replayed(m, x, torch.jit.trace_module(m, {"forward": x}).forward)


@transform("jit.script", on=FEW)
def jit_script(m: nn.Module, x: Tensor) -> Any:
    return replayed(m, x, torch.jit.script(m))


@transform("jit.script, then backward", on=FEW)
def jit_script_backward(m: nn.Module, x: Tensor) -> Any:
    scripted = torch.jit.script(m)
    return backward_thrice(m, scripted, x)


class _Scriptable(nn.Module):
    """A model that scripts with layers and with cells."""

    def __init__(self, m: nn.Module) -> None:
        super().__init__()
        self.recurrent = m

    def forward(self, x: Tensor) -> Tensor:
        y = self.recurrent(x)
        return y[0].relu()


@transform("jit.script of a model, saved and loaded")
def jit_script_model(m: nn.Module, x: Tensor) -> Any:
    file = io.BytesIO()
    torch.jit.save(torch.jit.script(_Scriptable(m)), file)
    file.seek(0)
    return replayed(m, x, torch.jit.load(file))


@transform("jit.script, frozen", on=FEW)
def jit_script_frozen(m: nn.Module, x: Tensor) -> Any:
    return replayed(m, x, torch.jit.freeze(torch.jit.script(m.eval())))


@transform("fx.symbolic_trace of a model")
def symbolic_trace(m: nn.Module, x: Tensor) -> Any:
    graph = fx.symbolic_trace(_Scriptable(m))
    return replayed(m, x, graph), [(node.op, str(node.target)) for node in graph.graph.nodes]


@transform("fx.symbolic_trace of the module itself")
def symbolic_trace_itself(m: nn.Module, x: Tensor) -> Any:
    return [type(fx.symbolic_trace(m)(x)).__name__]


@transform("fx.symbolic_trace, then training")
def symbolic_trace_backward(m: nn.Module, x: Tensor) -> Any:
    total(fx.symbolic_trace(_Scriptable(m))(x)).backward()
    return [p.grad for p in m.parameters()]


def recorded(m: nn.Module, x: Tensor, **options: Any) -> Any:
    """Return the results of a graph of make_fx on other inputs and weights, and its operators."""
    values = weights(m)

    def function(values: dict[str, Tensor], x: Tensor) -> list[Tensor]:
        return leaves(torch.func.functional_call(m, values, (x,)))

    graph = make_fx(function, **options)(values, x)
    own = {name: p * 0.5 for name, p in values.items()}
    with new_memory_is_nan():
        return [graph(values, x), graph(values, x.cos()), graph(own, x)], [str(n.target) for n in graph.graph.nodes]


@transform("make_fx", on=FEW)
def fx_real(m: nn.Module, x: Tensor) -> Any:
    return recorded(m, x)


@transform("make_fx, no_grad", on=FEW)
def fx_no_grad(m: nn.Module, x: Tensor) -> Any:
    with torch.no_grad():
        return recorded(m, x)


@transform("make_fx, fake", on=FEW)
def fx_fake(m: nn.Module, x: Tensor) -> Any:
    return recorded(m, x, tracing_mode="fake")


@transform("make_fx, symbolic", on=TWO)
def fx_symbolic(m: nn.Module, x: Tensor) -> Any:
    return recorded(m, x, tracing_mode="symbolic")[0]


@transform("make_fx, pre_dispatch", on=FEW)
def fx_pre_dispatch(m: nn.Module, x: Tensor) -> Any:
    with torch.no_grad():
        return recorded(m, x, pre_dispatch=True)


@transform("make_fx of a gradient", on=TWO)
def fx_gradient(m: nn.Module, x: Tensor) -> Any:
    def function(x: Tensor) -> Any:
        x = x.detach().requires_grad_()
        return torch.autograd.grad(total(m(x)), x)

    graph = make_fx(function)(x)
    with new_memory_is_nan():
        return graph(x), graph(x.cos())


@transform("make_fx of func.grad", on=TWO)
def fx_func_gradient(m: nn.Module, x: Tensor) -> Any:
    graph = make_fx(torch.func.grad(lambda x: total(m(x))))(x)
    with new_memory_is_nan():
        return graph(x), graph(x.cos())


@transform("make_fx of vmap", on=CELLS)
def fx_vmap(m: nn.Module, x: Tensor) -> Any:
    graph = make_fx(torch.func.vmap(lambda x: first(m, x)))(torch.stack([x, x]))
    with new_memory_is_nan():
        return graph(torch.stack([x, x.cos()]))


@transform("aot_function", on=TWO)
def aot(m: nn.Module, x: Tensor) -> Any:
    values = {name: p.requires_grad_() for name, p in weights(m).items()}
    run = aot_function(lambda values, x: leaves(torch.func.functional_call(m, values, (x,))), nop)
    return torch.autograd.grad(total(run(values, x)), list(values.values()))


@transform("aot_module", on=TWO)
def aot_of_module(m: nn.Module, x: Tensor) -> Any:
    total(aot_module(m, nop)(x)).backward()
    return [p.grad for p in m.parameters()]


def exported(m: nn.Module, x: Tensor, *arguments: Any, **options: Any) -> Any:
    """Return the results of an exported program, as it is and after saving and loading."""
    program = torch.export.export(m.eval(), (x, *arguments), **options)
    file = io.BytesIO()
    torch.export.save(program, file)
    file.seek(0)
    loaded = torch.export.load(file)
    with new_memory_is_nan():
        return [leaves(p.module()(x, *arguments)) for p in (program, loaded)], leaves(
            program.module()(x.cos(), *arguments)
        )


@transform("export", on=FEW)
def export(m: nn.Module, x: Tensor) -> Any:
    return exported(m, x)


@transform("export, strict", on=TWO)
def export_strict(m: nn.Module, x: Tensor) -> Any:
    return exported(m, x, strict=True)


@transform("export, no_grad", on=TWO)
def export_no_grad(m: nn.Module, x: Tensor) -> Any:
    with torch.no_grad():
        return exported(m, x, strict=False)


@transform("export, with a state", on=FEW)
def export_state(m: nn.Module, x: Tensor) -> Any:
    return exported(m, x, zeros(m, x), strict=False)


@transform("export and its decompositions", on=TWO)
def export_decomposed(m: nn.Module, x: Tensor) -> Any:
    program = torch.export.export(m.eval(), (x,), strict=False).run_decompositions()
    with new_memory_is_nan():
        return leaves(program.module()(x)), leaves(program.module()(x.cos()))


@transform("export for training", on=TWO)
def export_training(m: nn.Module, x: Tensor) -> Any:
    module = torch.export.export(m.train(), (x,), strict=False).module()
    total(module(x)).backward()
    return [p.grad for p in module.parameters()]


@transform("export with a dynamic batch", on=TWO)
def export_dynamic(m: nn.Module, x: Tensor) -> Any:
    axis = 1 if isinstance(m, nn.RNNBase) and not m.batch_first else 0
    program = torch.export.export(
        m, (x,), dynamic_shapes=({axis: torch.export.Dim("batch", min=2, max=64)},), strict=False
    )
    wide = torch.cat([x, x.cos(), x.sin()], dim=axis)
    with new_memory_is_nan():
        return leaves(program.module()(x)), leaves(program.module()(wide))


def compiled(m: nn.Module, x: Tensor, *, train: bool, allow: bool = True, **options: Any) -> Any:
    """Return outputs and gradients of a compiled module on three inputs, with a step after each.

    allow: let Dynamo compile torch's layers, which is experimental; otherwise it breaks the graph around them.
    """
    torch._dynamo.reset()
    m.train(train)
    found = []
    with torch._dynamo.config.patch(allow_rnn=allow):
        run = torch.compile(m, **{"backend": "aot_eager", "fullgraph": allow, **options})
        for value in (x, x.cos(), torch.cat([x, x], dim=1 if getattr(m, "batch_first", True) is False else 0)):
            if not train:
                with torch.no_grad():
                    found.append(run(value))
                continue
            m.zero_grad()
            y = run(value)
            total(y).backward()
            found.append((y, [p.grad.clone() for p in m.parameters()]))
            with torch.no_grad():
                for p in m.parameters():
                    p -= 0.001 * p.grad
    torch._dynamo.reset()
    return found


@transform("compile, fullgraph, train", on=TWO[1:])
def compile_train(m: nn.Module, x: Tensor) -> Any:
    return compiled(m, x, train=True)


@transform("compile, fullgraph, eval", on=TWO)
def compile_eval(m: nn.Module, x: Tensor) -> Any:
    return compiled(m, x, train=False)


@transform("compile, fullgraph, dynamic", on=TWO[1:])
def compile_dynamic(m: nn.Module, x: Tensor) -> Any:
    return compiled(m, x, train=False, dynamic=True)


@transform("compile, train", on=TWO)
def compile_broken(m: nn.Module, x: Tensor) -> Any:
    return compiled(m, x, train=True, allow=False, backend="eager")


@transform("compile, fullgraph, RNN not allowed", on=FEW)
def compile_refused(m: nn.Module, x: Tensor) -> Any:
    return compiled(m, x, train=False, allow=False, fullgraph=True, backend="eager")


@transform("compile, inductor", on=TWO[1:])
def compile_inductor(m: nn.Module, x: Tensor) -> Any:
    torch._dynamo.reset()
    with torch.no_grad():
        return torch.compile(m, backend="inductor")(x)


@transform("compile, then y += 1", on=TWO)
def compile_in_place(m: nn.Module, x: Tensor) -> Any:
    def function(x: Tensor) -> Tensor:
        y = first(m, x)
        y += 1
        return y

    torch._dynamo.reset()
    y = torch.compile(function, backend="aot_eager")(x)
    total(y).backward()
    torch._dynamo.reset()
    return y, [p.grad for p in m.parameters()]


@transform("compile of packed sequences", on=TWO[:1])
def compile_packed(m: nn.RNNBase, x: Tensor) -> Any:
    torch._dynamo.reset()
    y, state = torch.compile(m, backend="eager")(packed(m, sort=False))
    torch._dynamo.reset()
    return y.data, leaves(state)


@transform("compile of func.grad and vmap", on=TWO[1:])
def compile_func(m: nn.Module, x: Tensor) -> Any:
    torch._dynamo.reset()
    run = torch.compile(torch.func.vmap(torch.func.grad(lambda x: total(m(x)))), backend="aot_eager")
    found = run(torch.stack([x, x.cos()]))
    torch._dynamo.reset()
    return found
