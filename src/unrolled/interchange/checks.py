"""The check of a written model: its logits against the run's, on random inputs of several shapes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from unrolled import shapes
from unrolled.data.special import BOS, SPECIAL
from unrolled.errors import ExportError
from unrolled.models import Features, Pairs
from unrolled.runs.run import Run

__all__ = ["TOLERANCE", "Batch", "batches", "refuse_difference", "run_logits"]

TOLERANCE = 1e-5
"""Of a logit, relative to 1 + the largest one: another order of the same float32 sums."""
SHAPES = ((1, 1), (2, 3), (3, 16), (5, 7), (2, 70))
"""Numbers of sequences and of steps."""


class Batch(NamedTuple):
    """Random inputs of a model.

    Args:
        inputs: ids (B, T), or features (B, T, D).
        lengths: (B,); the first is T.
        source, source_lengths: ids (B, S) and (B,) of pairs; else None.
    """

    inputs: Tensor
    lengths: Tensor
    source: Tensor | None = None
    source_lengths: Tensor | None = None


def batches(run: Run) -> Iterator[Batch]:
    """Yield batches of SHAPES that the run's model can read, the same at each call."""
    generator = torch.Generator().manual_seed(0)
    inputs, longest = run.model.inputs, run.model.max_length

    def ids(B: int, T: int, size: int) -> Tensor:
        return torch.randint(min(len(SPECIAL), size - 1), size, (B, T), generator=generator)

    def lengths(B: int, T: int) -> Tensor:
        drawn = torch.randint(1, T + 1, (B,), generator=generator)
        drawn[0] = T
        return drawn

    for B, T in SHAPES:
        if isinstance(inputs, Pairs):
            S = min(T + 2, run.model.max_source_length or T + 2)
            source, source_lengths = ids(B, S, inputs.source_size), lengths(B, S)
            T = min(T, int(run.model.remaining_length(torch.tensor([S])).min()))
            targets = ids(B, T, inputs.vocabulary_size)
            targets[:, 0] = BOS
            yield Batch(targets, lengths(B, T), source, source_lengths)
            continue
        T = min(T, longest or T)
        if isinstance(inputs, Features):
            yield Batch(torch.randn(B, T, inputs.size, generator=generator), lengths(B, T))
        else:
            yield Batch(ids(B, T, inputs.vocabulary_size), lengths(B, T))


@torch.inference_mode()
def run_logits(run: Run, batch: Batch) -> Tensor:
    """Return the logits of the run's model: (B, V), or (B, T, V) with 0 at padded steps."""
    device = next(run.model.parameters()).device
    state = None
    if batch.source is not None and batch.source_lengths is not None:
        state = run.model.encode(batch.source.to(device), batch.source_lengths.to(device))
    logits, _ = run.model(batch.inputs.to(device), state, batch.lengths.to(device))
    return _masked(logits.cpu(), batch)


def refuse_difference(run: Run, logits: Callable[[Batch], Tensor], name: str) -> float:
    """Compare the logits of a written model with the run's, and return the largest difference.

    Args:
        run: the run.
        logits: the written model: a batch -> its logits, of any value at padded steps.
        name: name of the format, for the message.

    Raises:
        ExportError: they differ by more than TOLERANCE; names the shape and the difference.
    """
    largest = 0.0
    for batch in batches(run):
        expected = run_logits(run, batch)
        difference = float((_masked(logits(batch), batch) - expected).abs().max())
        if not difference <= TOLERANCE * (1 + float(expected.abs().max())):  # a comparison with NaN is false
            B, T = batch.inputs.shape[:2]
            raise ExportError(
                f"the run cannot be written as {name}: for {B} sequences of {T} steps its logits differ by "
                f"{difference:.2g} from those of the run"
            )
        largest = max(largest, difference)
    return largest


def _masked(logits: Tensor, batch: Batch) -> Tensor:
    if logits.dim() == 2:
        return logits
    return logits.masked_fill(~shapes.real(batch.lengths, logits.shape[1]).unsqueeze(2), 0)
