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
            logits, state = self.model(batch.inputs, state, batch.lengths)
            if logits.dtype == torch.bfloat16:
                logits = logits.float()
            nats = self.loss_nats(logits, batch.targets)
            with torch.no_grad():
                plain = self.plain_nats(logits, batch.targets) if self.plain_nats else nats.detach()
        return nats, plain, detach(state)
