"""Where a model stands in rows that are being written: what every way of decoding steps forward with."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from unrolled.data.encoding.tokenizers import BOS, PAD
from unrolled.models import Model
from unrolled.state import State, join, reorder, select

__all__ = ["CHUNK", "Cursor"]

CHUNK = 8192  # tokens that a model reads in one call, all rows counted: what bounds the memory of reading


class Cursor:
    """B rows that a model has read so far: its state, and its logits for what comes next.

    Where sequences have a limit (`model.max_length`), a row that is full goes on with the last half of it, read anew.

    Args:
        model: answers at each step, in eval mode.
        prompts: B rows of ids, of any length, without <bos>, which is read before them.
        state: of B rows, what `model.begin` returned; None where there is no encoder.
    """

    logits: Tensor
    """(B, V) float32, on the model's device."""

    def __init__(self, model: Model, prompts: Sequence[Sequence[int]], state: State = None) -> None:
        self.model, self.device = model, next(model.parameters()).device
        read = [[BOS, *prompt] for prompt in prompts]
        self.contexts: list[list[int]] | None = None  # what each row's state was made of, where that has a limit
        if model.max_length is not None and state is None:
            read = self.contexts = [row[-model.max_length :] for row in read]
        self.logits, self.state = self._read(read, state)

    @torch.inference_mode()
    def step(self, ids: Tensor) -> None:
        """Read one more token of every row. ids: (B,) integers."""
        full = self._note(ids)
        rest = [row for row in range(len(ids)) if row not in full]
        if not full:
            self.logits, self.state = self._next(ids, self.state)
            return
        assert self.contexts is not None
        logits, state = self._read([self.contexts[row] for row in full])
        if rest:
            rest_logits, rest_state = self._next(ids[rest], select(self.state, rest))
            order = torch.tensor([*full, *rest]).argsort()
            logits = torch.cat([logits, rest_logits])[order.to(self.device)]
            state = select(join([state, rest_state]), order)
        self.logits, self.state = logits, state

    @torch.inference_mode()
    def select(self, rows: Tensor | Sequence[int]) -> None:
        """Go on with these rows (B',), in this order; one may be asked for twice."""
        self.state = select(self.state, rows)
        self._take(torch.as_tensor(rows))

    @torch.inference_mode()
    def reorder(self, rows: Tensor) -> None:
        """As `select`, where each row (B,) takes the place of one with the same source."""
        self.state = reorder(self.state, rows)
        self._take(rows)

    def _take(self, rows: Tensor) -> None:
        self.logits = self.logits[rows.to(self.device)]
        if self.contexts is not None:
            self.contexts = [[*self.contexts[row]] for row in rows.tolist()]

    def _next(self, ids: Tensor, state: State) -> tuple[Tensor, State]:
        """Read a token more of rows (B,) in this state -> the logits after it, (B, V), and the state."""
        logits, state = self.model(ids.unsqueeze(1).to(self.device), state)
        return logits[:, 0].float(), state

    def _note(self, ids: Tensor) -> list[int]:
        """Add the tokens (B,) to what was read, and return the rows that are full: what is left of them is a half."""
        if self.contexts is None or self.model.max_length is None:
            return []
        for context, token in zip(self.contexts, ids.tolist(), strict=True):
            context.append(token)
        full = [row for row, context in enumerate(self.contexts) if len(context) > self.model.max_length]
        for row in full:
            del self.contexts[row][: -max(1, self.model.max_length // 2)]
        return full

    @torch.inference_mode()
    def _read(self, rows: Sequence[Sequence[int]], state: State = None) -> tuple[Tensor, State]:
        """Read rows of ids in chunks -> the logits after each one's own end, (B, V), and the state."""
        lengths = torch.tensor([len(row) for row in rows])
        ids = torch.full((len(rows), int(lengths.max())), PAD)
        for row, read in enumerate(rows):
            ids[row, : lengths[row]] = torch.tensor(read)
        ids, lengths = ids.to(self.device), lengths.to(self.device)
        found = torch.empty(len(rows), self.model.num_outputs, device=self.device)
        step = max(1, CHUNK // max(1, len(rows)))
        for start in range(0, ids.shape[1], step):
            part = ids[:, start : start + step]
            real = (lengths - start).clamp(0, part.shape[1])
            logits, state = self.model(part, state, real)
            here = ((lengths > start) & (lengths <= start + part.shape[1])).nonzero()[:, 0]
            found[here] = logits[here, real[here] - 1].float()
        return found, state
