"""Where a model stands in rows that are being written: what every way of decoding steps forward with."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from unrolled.data.tokenizers import BOS, PAD
from unrolled.models import Model
from unrolled.state import State, reorder, select

__all__ = ["CHUNK", "Cursor"]

CHUNK = 8192  # tokens that a model reads in one call, all rows counted: what bounds the memory of reading


class Cursor:
    """B rows that a model has read so far: its state, and its logits for what comes next.

    Args:
        model: answers at each step, in eval mode.
        prompts: B rows of ids, of any length, without <bos>, which is read before them.
        state: of B rows, what `model.begin` returned; None where there is no encoder.
    """

    logits: Tensor
    """(B, V) float32, on the model's device."""

    def __init__(self, model: Model, prompts: Sequence[Sequence[int]], state: State = None) -> None:
        self.model, self.state = model, state
        self.device = next(model.parameters()).device
        self._read(prompts)

    @torch.inference_mode()
    def step(self, ids: Tensor) -> None:
        """Read one more token of every row. ids: (B,) integers."""
        logits, self.state = self.model(ids.unsqueeze(1).to(self.device), self.state)
        self.logits = logits[:, 0].float()

    @torch.inference_mode()
    def select(self, rows: Tensor | Sequence[int]) -> None:
        """Go on with these rows (B',), in this order; one may be asked for twice."""
        self.state = select(self.state, rows)
        self.logits = self.logits[torch.as_tensor(rows, device=self.device)]

    @torch.inference_mode()
    def reorder(self, rows: Tensor) -> None:
        """As `select`, where each row (B,) takes the place of one with the same source."""
        self.state = reorder(self.state, rows)
        self.logits = self.logits[rows.to(self.device)]

    @torch.inference_mode()
    def _read(self, prompts: Sequence[Sequence[int]]) -> None:
        """Read the prompts in chunks, and keep the logits after each one's own end."""
        lengths = torch.tensor([1 + len(prompt) for prompt in prompts])
        ids = torch.full((len(prompts), int(lengths.max())), PAD)
        for row, prompt in enumerate(prompts):
            ids[row, : lengths[row]] = torch.tensor([BOS, *prompt])
        ids, lengths = ids.to(self.device), lengths.to(self.device)
        self.logits = torch.empty(len(prompts), self.model.num_outputs, device=self.device)
        step = max(1, CHUNK // max(1, len(prompts)))
        for start in range(0, ids.shape[1], step):
            part = ids[:, start : start + step]
            real = (lengths - start).clamp(0, part.shape[1])
            logits, self.state = self.model(part, self.state, real)
            here = ((lengths > start) & (lengths <= start + part.shape[1])).nonzero()[:, 0]
            self.logits[here] = logits[here, real[here] - 1].float()
