"""Record of a beam search: every candidate of each step, kept or cut, as a tree."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from unrolled.data.encoding.tokenizers import EOS

__all__ = ["Candidates", "tree"]


class Candidates(NamedTuple):
    """Candidates of a step of one source: C continuations, best first, and the end of each of W open hypotheses.

    hypotheses: (C,) index of the hypothesis continued. tokens, log_p: (C,) the token, and ln p of the whole.
    kept: number of continuations that stay open. ends: (W,) ln p of each hypothesis with <eos>. ended: (W,) bool,
    whether it is accepted as an answer. truncated: whether the kept continuations are answers of the maximum length.
    """

    hypotheses: Tensor
    tokens: Tensor
    log_p: Tensor
    kept: int
    ends: Tensor
    ended: Tensor
    truncated: bool = False


def tree(steps: Sequence[Candidates]) -> dict[str, Tensor]:
    """Return the nodes of a search, (C,) each, in the order of the steps, kept ones of a step first.

    Returns:
        step, from 0; parent, the index of the node continued, −1 at the first step; token; log_prob of all tokens up to
        the node; kept, 1 where the node is continued or an accepted end, 0 where it is cut.
    """
    rows: list[tuple[int, int, int, float, int]] = []
    nodes = [-1]  # of the open hypotheses, the best first
    for step, one in enumerate(steps):
        first = len(rows)
        kept = one.kept if step < len(steps) - 1 or one.truncated else 0
        for rank, (w, token, log_p) in enumerate(
            zip(one.hypotheses.tolist(), one.tokens.tolist(), one.log_p.tolist(), strict=True)
        ):
            rows.append((step, nodes[w], token, log_p, int(rank < kept)))
        ends = [
            (step, nodes[w], EOS, log_p, 1)
            for w, (log_p, ended) in enumerate(zip(one.ends.tolist(), one.ended.tolist(), strict=True))
            if ended
        ]
        rows += ends
        nodes = list(range(first, first + one.kept))
    columns = [torch.tensor(column) for column in zip(*rows, strict=True)]
    return dict(zip(("step", "parent", "token", "log_prob", "kept"), columns, strict=True))
