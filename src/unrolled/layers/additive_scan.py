"""A cell over time that looks at a memory before each step, for training: the twin of `Bahdanau.loop`.

Only what a step must wait for is done step by step. x and the context go through W_x = [W_e W_c] apart: W_e x_t + b for
all steps in one product, and, since a sum of outputs is projected as the sum of the projected, W_c o_j once a source.

    a_tj = tanh(W_q h_{t−1} + k_j)           k_j = W_k o_j + b_k, the keys                  forward, for t = 1 … T
    α_t  = softmax_j(v · a_tj)               over the real j
    g_t  = W_e x_t + b + Σ_j α_tj W_c o_j    what the input says to the gates
    s_t  = cell(g_t, s_{t−1})

Backward, from t = T to 1; dz is the gradient of what is summed up in z:

    dg_t, ds_{t−1} = the cell's own, by autograd
    dα_tj = dg_t · W_c o_j                              de_tj = α_tj (dα_tj − Σ_i α_ti dα_ti)
    dq_t  = Σ_j de_tj v ⊙ (1 − a_tj²) = −v ⊙ Σ_j de_tj a_tj²       for Σ_j de_tj = 0
    dh_{t−1} += W_qᵀ dq_t

and what no step waits for is summed over all of them afterwards, in one product each: dW_q, dv, dk, d(W_c o), and the
recurrent weights, through one more pass of the cell over all steps at once.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

from unrolled.cells import Cell
from unrolled.layers.memory import AttentionCarry, Memory
from unrolled.layers.recurrent import Recurrent
from unrolled.layers.scores import Additive
from unrolled.scan.torch import CELLS
from unrolled.shapes import real
from unrolled.state import hold

__all__ = ["scan", "serves"]


def serves(layer: Recurrent, x: Tensor) -> bool:
    """Whether the steps of `layer` are taken here.

    A gradient is wanted, no backend is asked for by name, and the cell is one of ours, whose W_x can be cut in two.
    """
    return (
        torch.is_grad_enabled()
        and layer.backend == "auto"
        and type(layer.cell) in CELLS
        and not torch.is_autocast_enabled(x.device.type)
        and not torch.compiler.is_compiling()
    )


def scan(
    layer: Recurrent, score: Additive, x: Tensor, memory: Memory, carry: AttentionCarry, lengths: Tensor | None
) -> tuple[Tensor, AttentionCarry]:
    """As Bahdanau.loop: x (B, T, D), T ≥ 1 -> y (B, T, H) and what is carried after each row's last real step."""
    B, T, D = x.shape
    cell, outputs = layer.cell, memory.outputs
    weight_e, weight_c = torch.split(cell.get_parameter("weight_x"), [D, outputs.shape[2]], dim=1)
    weights, *fields = _Steps.apply(  # type: ignore[no-untyped-call]
        cell, layer.mask(x), memory.real,
        F.linear(x, weight_e, cell.get_parameter("bias")),  # (B, T, G·H)
        F.linear(outputs, weight_c),  # (B, S, G·H)
        memory.keys, score.query.weight, score.v, *carry.layers, *_returning(cell),
    )  # fmt: skip
    y = fields[0]
    if lengths is None:
        last, *state = (value[:, -1] for value in (weights, *fields))
    else:  # padding stands right: what was computed there has reached no real step
        y = y.masked_fill(~real(lengths, T).unsqueeze(2), 0)
        rows, steps = torch.arange(B, device=x.device), (lengths - 1).clamp(min=0)
        last, *state = (value[rows, steps] for value in (weights, *fields))
    after = AttentionCarry(cell.State(*state), last, (last.unsqueeze(1) @ outputs).squeeze(1), ())
    return y, after if lengths is None else hold(lengths > 0, after, carry)


class _Steps(torch.autograd.Function):
    """All steps: (cell, mask, where the memory is real, the five tensors of the equations, the state, the weights that
    return) -> α (B, T, S), and each field of the state (B, T, H)."""

    @staticmethod
    def forward(
        ctx: Any, cell: Cell[Any, Any], mask: Tensor | None, here: Tensor, x_gates: Tensor, values: Tensor,
        keys: Tensor, weight_q: Tensor, v: Tensor, *rest: Tensor,
    ) -> tuple[Tensor, ...]:  # fmt: skip
        B, T, _ = x_gates.shape
        S, A = keys.shape[1:]
        g = x_gates.transpose(0, 1).unsqueeze(2).contiguous()  # (T, B, 1, G·H): what is looked at is added to it
        a, alpha = keys.new_empty(T, B, S, A), keys.new_empty(T, B, S)
        state = cell.State(*rest[: len(cell.State._fields)])
        states, ctx.steps, nowhere = [state], [], ~here
        for t in range(T):
            torch.add(keys, F.linear(state.h, weight_q).unsqueeze(1), out=a[t]).tanh_()
            torch.softmax((a[t] @ v).masked_fill_(nowhere, -torch.inf), dim=1, out=alpha[t])
            g[t].baddbmm_(alpha[t].unsqueeze(1), values)
            entered = (g[t].squeeze(1).detach(), *(field.detach() for field in state))
            with torch.enable_grad():
                made = _step(cell, mask, *(tensor.requires_grad_() for tensor in entered))
            ctx.steps.append((made, entered))
            state = cell.State(*(field.detach() for field in made))
            states.append(state)
        fields = [torch.stack(field) for field in zip(*states, strict=True)]  # (T + 1, B, H)
        ctx.cell, ctx.mask, ctx.g, ctx.before = cell, mask, g.squeeze(2), [field[:-1] for field in fields]
        ctx.save_for_backward(values, keys, weight_q, v, a, alpha)
        return alpha.transpose(0, 1), *(field[1:].transpose(0, 1) for field in fields)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, dalpha: Tensor, *dfields: Tensor) -> tuple[Any, ...]:
        values, keys, weight_q, v, a, alpha = ctx.saved_tensors
        T, B, _, A = a.shape
        ds = [torch.stack(field.unbind(1)) for field in dfields]  # (T, B, H), of each field after step t; a copy always
        dg, dq, de = torch.empty_like(ctx.g), keys.new_empty(T, B, A), torch.empty_like(alpha)
        summed, dv = torch.zeros_like(keys), torch.zeros_like(v)
        before = tuple(torch.zeros_like(field[0]) for field in ds)
        for t in reversed(range(T)):
            for field, returned in zip(ds, before, strict=True):
                field[t] += returned
            made, entered = ctx.steps[t]
            dg[t], *before = torch.autograd.grad(made, entered, [field[t] for field in ds], retain_graph=True)
            asked = alpha[t] * ((values @ dg[t].unsqueeze(2)).squeeze(2) + dalpha[:, t])
            torch.addcmul(asked, alpha[t], asked.sum(1, keepdim=True), value=-1, out=de[t])
            square = a[t].square()
            torch.mul((de[t].unsqueeze(1) @ square).squeeze(1), -v, out=dq[t])
            before[0] = torch.addmm(before[0], dq[t], weight_q)
            summed.addcmul_(de[t].unsqueeze(2), square)
            dv.addmv_(a[t].view(-1, A).T, de[t].view(-1))
        dkeys = v * (de.sum(0).unsqueeze(2) - summed)
        dvalues = alpha.permute(1, 2, 0) @ dg.transpose(0, 1)  # (B, S, T) times (B, T, G·H)
        dweight_q = dq.flatten(0, 1).T @ ctx.before[0].flatten(0, 1)
        wanted = [weight for weight in _returning(ctx.cell) if weight.requires_grad]
        with torch.enable_grad():
            made = _step(ctx.cell, ctx.mask, ctx.g, *ctx.before)
        found = iter(torch.autograd.grad(made, wanted, ds) if wanted else ())
        returning = (next(found) if weight.requires_grad else None for weight in _returning(ctx.cell))
        return None, None, None, dg.transpose(0, 1), dvalues, dkeys, dweight_q, dv, *before, *returning


def _step(cell: Cell[Any, Any], mask: Tensor | None, g: Tensor, *fields: Tensor) -> Any:
    """The state that g (…, G·H) and the state's fields (…, H) lead to."""
    state = cell.State(*fields)
    _, after = cell.advance(cell.gates(g, state if mask is None else state._replace(h=state.h * mask)), state)
    return after


def _returning(cell: Cell[Any, Any]) -> list[Tensor]:
    """The weights by which the state returns into the gates: all but those of the input."""
    return [weight for name, weight in cell.named_parameters() if name not in ("weight_x", "bias")]
