"""Rules against repetition: n-grams that are not written twice, and a penalty of tokens that were written before.

    no_repeat_ngram n:      after w_1 … w_t a token v is forbidden if w_{t−n+2} … w_t v stand among w_1 … w_t, in a row
    repetition_penalty θ:   the logit l of a token among w_1 … w_t becomes l / θ where l > 0, l θ elsewhere

w_1 … w_t are the tokens of the prompt (of a translation: the forced prefix) and of the answer so far, not those of a
source; <eos> is never forbidden. Where no token would be left to choose, none is forbidden. The penalty comes first and
changes the distribution of the next token, from which probabilities and scores are computed; temperature, top_k and
top_p choose from the tokens that are not forbidden.

Paulus, Xiong & Socher, "A deep reinforced model for abstractive summarization", 2018, section 2.5; Keskar et al.,
"CTRL: a conditional Transformer language model for controllable generation", 2019, section 4.1.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from unrolled.data.encoding.tokenizers import SPECIAL

__all__ = ["History", "Repetition"]

NONE = -1  # stands before the first token of a shorter sequence


@dataclass(frozen=True, kw_only=True)
class Repetition:
    """Base of the decoding strategies: the rules against repetition.

    Args:
        no_repeat_ngram: n; 0: no token is forbidden.
        repetition_penalty: θ; 1: no penalty, below 1 repetition is favoured.
    """

    no_repeat_ngram: int = 0
    repetition_penalty: float = 1.0

    @property
    def is_used(self) -> bool:
        """True if one of the rules can change an answer."""
        return self.no_repeat_ngram > 0 or self.repetition_penalty != 1


class History:
    """The tokens of B sequences so far, and what the rules make of them.

    Args:
        rules: n and θ.
        prompts: B sequences of ids.
        num_outputs: number V of logits.
        device: device of the logits.
    """

    def __init__(
        self, rules: Repetition, prompts: Sequence[Sequence[int]], num_outputs: int, device: torch.device
    ) -> None:
        self.rules, self.num_outputs = rules, num_outputs
        longest = max(map(len, prompts))
        padded = [[*[NONE] * (longest - len(prompt)), *prompt] for prompt in prompts]
        self.tokens = torch.tensor(padded, dtype=torch.int64, device=device)  # (B, t), those of the last step last

    def add(self, ids: Tensor) -> None:
        """Add a token (B,) to each sequence."""
        self.tokens = torch.cat([self.tokens, ids.to(self.tokens).unsqueeze(1)], dim=1)

    def select(self, indices: Tensor) -> None:
        """Continue with the sequences at these indices (B',)."""
        self.tokens = self.tokens[indices]

    def penalized(self, logits: Tensor) -> Tensor:
        """Return the logits (B, V) after the penalty."""
        theta = self.rules.repetition_penalty
        if theta == 1:
            return logits
        ids = self.tokens.clamp(min=0)
        before = logits.gather(1, ids)  # (B, t)
        after = torch.where(before > 0, before / theta, before * theta).where(self.tokens != NONE, before)
        return logits.scatter(1, ids, after)

    def forbidden(self, *, end: bool) -> Tensor | None:
        """Return the mask of tokens that would repeat an n-gram, (B, V), or None if none would.

        Args:
            end: whether <eos> is left to choose.
        """
        n, t = self.rules.no_repeat_ngram, self.tokens.shape[1]
        if not 0 < n <= t:
            return None
        ngrams = self.tokens.unfold(1, n, 1)  # (B, t − n + 1, n)
        repeats = (ngrams[:, :, :-1] == self.tokens[:, None, t - n + 1 :]).all(dim=2)
        V, last = self.num_outputs, ngrams[:, :, -1]
        mask = torch.zeros(len(last), V + 1, dtype=torch.bool, device=last.device)
        mask = mask.scatter_(1, last.where(repeats & (last != NONE), V), True)[:, :V]
        if not end and ngrams.shape[1] >= V - len(SPECIAL):  # there may be a follower of every kind
            mask = mask & ~mask[:, len(SPECIAL) :].all(dim=1, keepdim=True)
        return mask
