"""The parallel forms of linear cells in torch, on any device: many steps in a few products.

A cell is linear if the next state is a linear function of the state, for given inputs. Then:

    vectors (minGRU, minLSTM)        h_t = a_t h_{t−1} + b_t, and backward the same recurrence in reverse:
                                     g_t = ∂h_t + a_{t+1} g_{t+1};  ∂a_t = g_t h_{t−1};  ∂b_t = g_t
    matrices, in chunks of C steps   S_t = exp(d_t) S_{t−1} + k_t w_tᵀ;  r_t = S_tᵀ q_t
        with G_t = Σ_{s ≤ t} d_s     r = (Q Kᵀ ⊙ D) W + diag(exp G) Q S_0,     D_ts = exp(G_t − G_s) for s ≤ t, else 0
        inside a chunk               S_C = exp(G_C) S_0 + (diag(exp(G_C − G)) K)ᵀ W
    the delta rule                   w_t = β_t (v_t − exp(d_t) S_{t−1}ᵀ k_t), for all steps of a chunk at once:
                                     (I + tril(diag(β) K Kᵀ ⊙ D, −1)) W = diag(β) (V − diag(exp G) K S_0)
    the stabiliser of the mLSTM      m_t = G_t + max(m_0, max_{s ≤ t} (ĩ_s − G_s)),   d = ln f there

What a cell does with the input and with r it does itself, in `gates` and `emitted`, for all steps at once. A padded
step keeps the state: it decays by 1 and writes nothing. The size of chunks changes the order of sums and nothing else.

Martin & Cundy, "Parallelizing linear recurrent neural nets over sequence length", 2018; chunks: Hua et al. 2022 and
Sun et al. 2023; with decay: Yang et al., "Gated linear attention", 2023; the delta rule: Yang et al. 2024, whose W and
U are the solution for V and for K; the stabiliser: Beck et al. 2025.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor

from unrolled.cells import (
    Cell,
    GatedDeltaNetCell,
    LinearAttentionCell,
    Mamba2Cell,
    MinGRUCell,
    MinLSTMCell,
    MLSTMCell,
)
from unrolled.kernels import recurrence as kernels
from unrolled.scan import reference
from unrolled.shapes import real
from unrolled.state import State

__all__ = ["CELLS", "CHUNK", "recurrence", "scan"]

CHUNK = 64
"""Steps of a chunk: a work of C (K + V) + 2 K V multiplications for each step and head."""


def scan(
    cell: Cell[Any, Any], x: Tensor, state: State, lengths: Tensor | None, *, reverse: bool
) -> tuple[Tensor, State]:
    """Run the cell over x (B, T, D) from `state` -> y (B, T, O) and the state after each sequence's last real step."""
    B, T = x.shape[:2]
    if T < 2 or B == 0:
        return reference.scan(cell, x, state, lengths, reverse=reverse, mask=None, edit=None)
    is_real = order = None
    if lengths is not None:
        is_real = real(lengths, T)
        x = x.masked_fill(~is_real.unsqueeze(2), 0)
    if reverse:
        order = _reversed(lengths, T, x)
        x = x.gather(1, order.expand_as(x))
    y, after = _FORMS[type(cell)](cell, cell.project(x), state, _Steps(T, lengths, is_real))
    if is_real is not None:
        y = y.masked_fill(~is_real.unsqueeze(2), 0)
    if order is not None:
        y = y.gather(1, order.expand_as(y))
    return y, after


class _Steps:
    """The steps of a call: their number T, and where sequences end."""

    def __init__(self, T: int, lengths: Tensor | None, is_real: Tensor | None) -> None:
        self.T, self.lengths, self.is_real = T, lengths, is_real

    def filled(self, value: Tensor, padding: float) -> Tensor:
        """Return a value of each step (B, T, …), with a number at padded ones."""
        if self.is_real is None:
            return value
        return value.masked_fill(~self.is_real.view(*self.is_real.shape, *[1] * (value.dim() - 2)), padding)

    def last(self, value: Tensor, before: Tensor) -> Tensor:
        """Return the value (B, …) of each sequence's last real step; `before` where there is none."""
        if self.lengths is None:
            return value[:, -1]
        at = (self.lengths - 1).clamp(min=0).view(-1, *[1] * (value.dim() - 1))
        found = value.gather(1, at.expand(-1, 1, *value.shape[2:])).squeeze(1)
        return torch.where((self.lengths > 0).view(-1, *[1] * (found.dim() - 1)), found, before)

    def windows(self, u: Tensor, window: Tensor) -> tuple[Tensor, Tensor]:
        """Return the window before each step (B, T, n, C), and the one after the last real step, from u (B, T, C)."""
        n = window.shape[1]
        if n == 0:
            return u.new_zeros(*u.shape[:2], 0, u.shape[2]), window
        whole = torch.cat([window, u], dim=1)  # (B, n + T, C)
        before = whole.unfold(1, n, 1)[:, :-1].transpose(2, 3)
        if self.lengths is None:
            return before, whole[:, -n:]
        at = self.lengths.unsqueeze(1) + torch.arange(n, device=u.device)
        return before, whole.gather(1, at.unsqueeze(2).expand(-1, -1, u.shape[2]))


class LinearRecurrence(torch.autograd.Function):
    """h_t = a_t h_{t−1} + b_t over the second axis: see `recurrence`."""

    @staticmethod
    def forward(ctx: Any, a: Tensor, b: Tensor, h0: Tensor) -> Tensor:
        if kernels.computes(a, b, h0):
            h = kernels.forward(a, b, h0)
            ctx.save_for_backward(a, h, h0)
            return h
        h = torch.empty_like(b)
        before = h0
        for a_t, b_t, h_t in zip(a.unbind(1), b.unbind(1), h.unbind(1), strict=True):
            before = torch.addcmul(b_t, a_t, before, out=h_t)
        ctx.save_for_backward(a, h, h0)
        return h

    @staticmethod
    def backward(ctx: Any, slope: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        a, h, h0 = ctx.saved_tensors
        if not torch.is_grad_enabled() and kernels.computes(a, h, h0, slope):
            return kernels.backward(a, h, h0, slope)
        later = torch.cat([a[:, 1:], torch.zeros_like(a[:, :1])], dim=1)
        g = recurrence(later.flip(1), slope.flip(1), torch.zeros_like(h0)).flip(1)
        return g * torch.cat([h0.unsqueeze(1), h[:, :-1]], dim=1), g, a[:, 0] * g[:, 0]


def recurrence(a: Tensor, b: Tensor, h0: Tensor) -> Tensor:
    """Return h_t = a_t h_{t−1} + b_t, (B, T, H), from a and b (B, T, H) and h0 (B, H)."""
    h: Tensor = LinearRecurrence.apply(a, b, h0)  # type: ignore[no-untyped-call]
    return h


def chunks(T: int) -> Iterator[slice]:
    """Yield the steps of each chunk."""
    return (slice(start, min(T, start + CHUNK)) for start in range(0, T, CHUNK))


def decays(G: Tensor) -> Tensor:
    """Return exp(G_t − G_s) for s ≤ t, else 0, (…, C, C), from the sums G (…, C)."""
    C = G.shape[-1]
    above = torch.ones(C, C, dtype=torch.bool, device=G.device).triu(1)
    return (G.unsqueeze(-1) - G.unsqueeze(-2)).masked_fill(above, -torch.inf).exp()


def chunked(
    q: Tensor, k: Tensor, v: Tensor, log_decay: Tensor | None, S: Tensor, beta: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Return r_t = S_tᵀ q_t of every step, (B, T, N, V), and the last S (B, N, K, V).

    Args:
        q, k: (B, T, N, K).
        v: (B, T, N, V), the values w that are written, or, with beta, v of the delta rule.
        log_decay: d (B, T, N); None: 0.
        S: (B, N, K, V), before the first step.
        beta: (B, T, N); None: no delta rule.
    """
    q, k, v = (each.transpose(1, 2) for each in (q, k, v))  # (B, N, T, ·)
    found = []
    for steps in chunks(q.shape[2]):
        Q, K, W = q[:, :, steps], k[:, :, steps], v[:, :, steps]
        if log_decay is None:
            D = K.new_ones(K.shape[2], K.shape[2]).tril()
            kept, left, total = Q, K, None
        else:
            G = log_decay[:, steps].transpose(1, 2).cumsum(-1)  # (B, N, C)
            D = decays(G)
            since, total = G.exp().unsqueeze(-1), G[..., -1:].unsqueeze(-1).exp()
            kept, left = since * Q, (G[..., -1:] - G).exp().unsqueeze(-1) * K
        if beta is not None:
            strength = beta[:, steps].transpose(1, 2).unsqueeze(-1)  # (B, N, C, 1)
            system = (strength * (K @ K.mT) * D).tril(-1)
            W = strength * (W - (K if log_decay is None else since * K) @ S)
            W = torch.linalg.solve_triangular(system, W, upper=False, unitriangular=True)
        found.append(((Q @ K.mT) * D) @ W + kept @ S)
        S = (S if total is None else total * S) + left.mT @ W
    return torch.cat(found, dim=2).transpose(1, 2), S


def stabiliser(log_f: Tensor, log_i: Tensor, m: Tensor) -> Tensor:
    """Return m_t of every step, (B, T, N), from ln f and ĩ (B, T, N) and m (B, N) before the first."""
    found = []
    for steps in chunks(log_f.shape[1]):
        G = log_f[:, steps].cumsum(1)
        most = (log_i[:, steps] - G).cummax(1).values
        found.append(G + torch.maximum(m.unsqueeze(1), most))
        m = found[-1][:, -1]
    return torch.cat(found, dim=1)


def _vectors(cell: Any, x_gates: Tensor, state: Any, steps: _Steps) -> tuple[Tensor, State]:
    """A state h that decays and is written number by number: minGRU and minLSTM."""
    gates = cell.gates(x_gates, state)
    a, b = (gates.a, gates.z * gates.n) if isinstance(cell, MinGRUCell) else (gates.f, gates.i * gates.g)
    h = recurrence(steps.filled(a, 1), steps.filled(b, 0), state.h)
    return h, cell.State(h[:, -1])


def _linear_attention(cell: LinearAttentionCell, x_gates: Tensor, state: Any, steps: _Steps) -> tuple[Tensor, State]:
    """The normaliser is one more column of S, whose values are 1."""
    gates = cell.gates(x_gates, state)
    k = steps.filled(gates.k, 0)
    v = torch.cat([gates.v, torch.ones_like(gates.v[..., :1])], dim=-1)
    r, S = chunked(gates.q, k, v, None, torch.cat([state.S, state.z.unsqueeze(-1)], dim=-1))
    y = cell.emitted(gates, r[..., :-1], r[..., -1])
    return y, cell.State(S[..., :-1], S[..., -1], steps.last(y, state.y))


def _mlstm(cell: MLSTMCell, x_gates: Tensor, state: Any, steps: _Steps) -> tuple[Tensor, State]:
    """Decay and key are over exp(m); the normaliser is one more column, as in linear attention."""
    gates = cell.gates(x_gates, state)
    log_f, log_i = steps.filled(gates.log_f, 0), steps.filled(gates.log_i, -torch.inf)
    m = stabiliser(log_f, log_i, state.m)
    before = torch.cat([state.m.unsqueeze(1), m[:, :-1]], dim=1)
    k = (log_i - m).exp().unsqueeze(-1) * gates.k
    v = torch.cat([gates.v, torch.ones_like(gates.v[..., :1])], dim=-1)
    whole = torch.cat([state.C, state.n.unsqueeze(-1)], dim=-1)
    r, C = chunked(gates.q, k, v, log_f + before - m, whole)
    y = cell.emitted(gates, r[..., :-1], r[..., -1], m)
    return y, cell.State(C[..., :-1], C[..., -1], m[:, -1], steps.last(y, state.y))


def _mamba2(cell: Mamba2Cell, x_gates: Tensor, state: Any, steps: _Steps) -> tuple[Tensor, State]:
    _, u, _ = torch.split(x_gates, cell.parts, dim=-1)
    windows, window = steps.windows(u, state.window)
    gates = cell.gates(x_gates, cell.State(state[0], windows, state[2]))  # reads the window alone
    B, C = (each.expand(*each.shape[:-2], cell.num_heads, -1) for each in (gates.B, gates.C))
    v = steps.filled(gates.delta.unsqueeze(-1) * gates.x, 0)
    r, h = chunked(C, B, v, steps.filled(gates.log_a, 0), state.h)
    y = cell.emitted(gates, r)
    return y, cell.State(h, window, steps.last(y, state.y))


def _gated_deltanet(cell: GatedDeltaNetCell, x_gates: Tensor, state: Any, steps: _Steps) -> tuple[Tensor, State]:
    u, *_ = torch.split(x_gates, cell.parts, dim=-1)
    windows, window = steps.windows(u, state.window)
    gates = cell.gates(x_gates, cell.State(state[0], windows, state[2]))  # reads the window alone
    beta, log_alpha = steps.filled(gates.beta, 0), steps.filled(gates.log_alpha, 0)
    r, S = chunked(gates.q, gates.k, gates.v, log_alpha, state.S, beta)
    y = cell.emitted(gates, r)
    return y, cell.State(S, window, steps.last(y, state.y))


def _reversed(lengths: Tensor | None, T: int, x: Tensor) -> Tensor:
    """Return indices (B, T, 1) that reverse the real steps of each sequence; padding stays in place."""
    t = torch.arange(T, device=x.device)
    back = (T - 1 - t).expand(x.shape[0], T) if lengths is None else lengths.unsqueeze(1) - 1 - t
    return torch.where(back >= 0, back, t).unsqueeze(2)


_Form = Callable[[Any, Tensor, Any, _Steps], tuple[Tensor, State]]
_FORMS: dict[type[Cell[Any, Any]], _Form] = {
    MinGRUCell: _vectors,
    MinLSTMCell: _vectors,
    LinearAttentionCell: _linear_attention,
    MLSTMCell: _mlstm,
    Mamba2Cell: _mamba2,
    GatedDeltaNetCell: _gated_deltanet,
}
CELLS: dict[type[Cell[Any, Any]], frozenset[str]] = {
    kind: frozenset(name for name, _ in kind(1, 1).named_parameters()) for kind in _FORMS
}
"""The cells with a parallel form, and their parameters. A cell without one of them (pruned, parametrised) has none."""
