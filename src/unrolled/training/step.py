"""One training step as one module call: encode the source where there is one, forward, loss.

Data-parallel training wraps a module and sees only the calls of that module, so the whole path from a batch to its
loss is in this one.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext

import torch
from torch import Tensor, nn

from unrolled.models import Model
from unrolled.state import State, detach
from unrolled.training.batch import Batch
from unrolled.training.chunked import chunk_of, chunked_nats

__all__ = ["LossNats", "Step"]

LossNats = Callable[[Tensor, Tensor], Tensor]


class Step(nn.Module):
    """The summed loss of a model on a batch.

    Args:
        model: the model, on its device.
        loss_nats: (logits, targets) -> the summed nats of all real targets, which training minimises.
        plain_nats: the same without smoothing and weights, to report; None: `loss_nats` is plain.
        bf16: whether the products of the forward pass are computed in bfloat16. States, sums of the loss, weights and
            gradients stay in float32.
    """

    def __init__(
        self, model: Model, loss_nats: LossNats, *, plain_nats: LossNats | None = None, bf16: bool = False
    ) -> None:
        super().__init__()
        self.model, self.loss_nats, self.plain_nats, self.bf16 = model, loss_nats, plain_nats, bf16

    def forward(self, batch: Batch, state: State = None) -> tuple[Tensor, Tensor, State]:
        """Return the summed nats of the batch, the plain ones (detached), and the detached state that it leaves.

        Args:
            batch: the batch, on the model's device.
            state: the state that the previous batch left; only used by a batch that `continues`.
        """
        device = batch.inputs.device.type
        with torch.autocast(device, dtype=torch.bfloat16) if self.bf16 else nullcontext():
            if batch.source is not None:
                state = self.model.encode(batch.source, batch.source_lengths)
            elif not batch.continues:
                state = None
            if size := self._chunk(batch):
                y, state = self.model.outputs(batch.inputs, state, batch.lengths)
                nats, plain = self._in_chunks(y, batch.targets, size)
                return nats, plain, detach(state)
            logits, state = self.model(batch.inputs, state, batch.lengths)
            if logits.dtype == torch.bfloat16:
                logits = logits.float()
            nats = self.loss_nats(logits, batch.targets)
            with torch.no_grad():
                plain = self.plain_nats(logits, batch.targets) if self.plain_nats else nats.detach()
        return nats, plain, detach(state)

    def _chunk(self, batch: Batch) -> int | None:
        """Return the number of positions whose logits are computed at a time; None: all, see `chunked`.

        The model must answer at each step and be a head over its `outputs`; one that defines `forward` itself is not.
        """
        model = self.model
        if model.answer != "each" or type(model).forward is not Model.forward:
            return None
        return chunk_of(batch.targets.numel(), model.num_outputs)

    def _in_chunks(self, y: Tensor, targets: Tensor, size: int) -> tuple[Tensor, Tensor]:
        """Return the summed nats and the plain ones (detached) of the inputs (B, T, size) of the head."""
        losses = [self.loss_nats, *([self.plain_nats] if self.plain_nats else [])]
        nats, *plain = chunked_nats(*self.model.last_product(y), targets, losses=losses, size=size)
        return nats, plain[0] if plain else nats.detach()
