"""Zoneout: at each step a unit of the state may keep its previous value, as regularisation.

    training:     state_t = m ⊙ state_{t−1} + (1 − m) ⊙ new_t        m ~ Bernoulli(rate), drawn for each step and unit
    evaluation:   state_t = rate · state_{t−1} + (1 − rate) · new_t    the expectation over m

It applies to every leaf of a cell's state with the same rate; the output is that of the mixed state. Krueger et al.,
"Zoneout: regularizing RNNs by randomly preserving hidden activations", 2017, section 3.
"""

from __future__ import annotations

from typing import NamedTuple, TypeVar

import torch
from torch import Tensor

from unrolled.state import mapped

__all__ = ["Zoneout"]

S = TypeVar("S")


class Zoneout(NamedTuple):
    """The zoneout of one call: its rate in [0, 1), and whether the network is in training mode."""

    rate: float
    training: bool

    def mix(self, new: S, old: S) -> S:
        """Return the state after a step that led from `old` to `new`."""
        return mapped(self._leaf, new, old)

    def _leaf(self, new: Tensor, old: Tensor) -> Tensor:
        if not self.training:
            return torch.lerp(new, old, self.rate)
        keep = torch.rand(new.shape, device=new.device) < self.rate
        return torch.where(keep, old, new)
