"""A batch of sequences under way: the state and next logits with which every way of decoding steps forward."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from unrolled.data.encoding.tokenizers import BOS, PAD
from unrolled.decoding.repetition import History, Repetition
from unrolled.models import Model
from unrolled.state import State, join, reorder, select

__all__ = ["CHUNK", "Cursor"]

CHUNK = 8192  # tokens that a model reads in one call, over all sequences; bounds the memory of reading
UNRESTRICTED = Repetition()


class Cursor:
    """State of a model after B sequences, and its logits for the next token of each.

    Where a model has a maximum length (`model.max_length`), a sequence that reaches it continues from its last half,
    which is read again.

    Args:
        model: a model that answers at each step, in eval mode.
        prompts: B sequences of ids, of any length, without <bos>, which is read before them.
        state: state of B sequences, as `model.encode` returns it; None where there is no encoder.
        rules: against repetition; the logits are those after their penalty.
    """

    logits: Tensor
    """(B, V) float32, on the model's device."""

    def __init__(
        self,
        model: Model,
        prompts: Sequence[Sequence[int]],
        state: State = None,
        rules: Repetition = UNRESTRICTED,
    ) -> None:
        self.model, self.device = model, next(model.parameters()).device
        read = [[BOS, *prompt] for prompt in prompts]
        self.contexts: list[list[int]] | None = None  # the ids behind each state, where the model has a maximum length
        if model.max_length is not None and state is None:
            read = self.contexts = [ids[-model.max_length :] for ids in read]
        self.gathered: State = None  # the state that the last reordering returned, and, out of use, the one before it
        self.spare: State = None
        self.history = History(rules, prompts, model.num_outputs, self.device) if rules.is_used else None
        logits, self.state = self._read(read, state)
        self.logits = logits if self.history is None else self.history.penalized(logits)

    def forbidden(self, *, end: bool) -> Tensor | None:
        """Return the mask of tokens that would repeat an n-gram, (B, V), or None if none would; see `History`."""
        return None if self.history is None else self.history.forbidden(end=end)

    @torch.inference_mode()
    def step(self, ids: Tensor) -> None:
        """Read one more token of every sequence.

        Args:
            ids: (B,) integers.
        """
        logits, self.state = self._stepped(ids)
        if self.history is not None:
            self.history.add(ids)
            logits = self.history.penalized(logits)
        self.logits = logits

    def _stepped(self, ids: Tensor) -> tuple[Tensor, State]:
        """Return the logits after one more token of every sequence, (B, V), and the new state."""
        full = self._extend(ids)
        rest = [index for index in range(len(ids)) if index not in full]
        if not full:
            return self._next(ids, self.state)
        assert self.contexts is not None
        logits, state = self._read([self.contexts[index] for index in full])
        if rest:
            rest_logits, rest_state = self._next(ids[rest], select(self.state, rest))
            order = torch.tensor([*full, *rest]).argsort()
            logits = torch.cat([logits, rest_logits])[order.to(self.device)]
            state = select(join([state, rest_state]), order)
        return logits, state

    @torch.inference_mode()
    def select(self, indices: Tensor | Sequence[int]) -> None:
        """Continue with the sequences at these indices (B',), in this order; an index may occur more than once."""
        self.state = select(self.state, indices)
        on_device = torch.as_tensor(indices).to(self.device)
        self.logits = self.logits[on_device]
        self._take(on_device)

    @torch.inference_mode()
    def reorder(self, indices: Tensor) -> None:
        """Do as `select` does, for indices (B,) that replace each sequence by one with the same source.

        The logits are those of the old order until the next step. Two sets of buffers take turns, so that the cost of
        a step does not include new memory.
        """
        self.state = reorder(self.state, indices, spare=self.spare)
        self.gathered, self.spare = self.state, self.gathered
        self._take(indices.to(self.device))

    def _take(self, indices: Tensor) -> None:
        if self.history is not None:
            self.history.select(indices)
        if self.contexts is not None:
            self.contexts = [[*self.contexts[index]] for index in indices.tolist()]

    def _next(self, ids: Tensor, state: State) -> tuple[Tensor, State]:
        """Read one token (B,) of each sequence in this state; return the logits after it, (B, V), and the new state."""
        logits, state = self.model(ids.unsqueeze(1).to(self.device), state)
        return logits[:, 0].float(), state

    def _extend(self, ids: Tensor) -> list[int]:
        """Add the tokens (B,) to the contexts; return the indices of those that were too long, now halved."""
        if self.contexts is None or self.model.max_length is None:
            return []
        for context, token in zip(self.contexts, ids.tolist(), strict=True):
            context.append(token)
        full = [index for index, context in enumerate(self.contexts) if len(context) > self.model.max_length]
        for index in full:
            del self.contexts[index][: -max(1, self.model.max_length // 2)]
        return full

    @torch.inference_mode()
    def _read(self, sequences: Sequence[Sequence[int]], state: State = None) -> tuple[Tensor, State]:
        """Read sequences of ids in chunks; return the logits after the last token of each, (B, V), and the state."""
        lengths = torch.tensor([len(sequence) for sequence in sequences])
        ids = torch.full((len(sequences), int(lengths.max())), PAD)
        for index, sequence in enumerate(sequences):
            ids[index, : lengths[index]] = torch.tensor(sequence)
        ids, lengths = ids.to(self.device), lengths.to(self.device)
        last = torch.empty(len(sequences), self.model.num_outputs, device=self.device)
        step = max(1, CHUNK // max(1, len(sequences)))
        for start in range(0, ids.shape[1], step):
            chunk = ids[:, start : start + step]
            real = (lengths - start).clamp(0, chunk.shape[1])
            logits, state = self.model(chunk, state, real)
            ending = ((lengths > start) & (lengths <= start + chunk.shape[1])).nonzero()[:, 0]
            last[ending] = logits[ending, real[ending] - 1].float()
        return last, state
