"""Replies of a session: what a model says after each step, for every task, from its logits."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from unrolled.data.encoding.tokenizers import SPECIAL, Tokenizer
from unrolled.decoding.classification import class_probabilities
from unrolled.decoding.multi_label import sigmoid
from unrolled.decoding.temperature import scaled
from unrolled.runs.multi_label import MultiLabelRun
from unrolled.runs.regression import RegressionRun
from unrolled.runs.run import Run
from unrolled.runs.tagging import TaggingRun
from unrolled.runs.translation import TranslationRun

__all__ = ["after_all", "next_tokens", "of_labels", "of_tokens", "tokenizer_of"]

Logits = NDArray[np.float32]


def tokenizer_of(run: Run) -> Tokenizer:
    """Return the tokeniser of the tokens that a session reads: of targets, for task translate."""
    return run.tokenizers.target if isinstance(run, TranslationRun) else run.tokenizer


def next_tokens(run: Run, logits: Logits, top: int) -> list[dict[str, Any]]:
    """Return the most probable next tokens, the most probable first; of a translation also <eos>.

    Args:
        run: a run of task generate or translate.
        logits: (V,).
        top: number of tokens.
    """
    p = _softmax(logits)
    order = np.argsort(-logits, kind="stable")
    ends = isinstance(run, TranslationRun)
    ids = [int(i) for i in order if i >= len(SPECIAL) or (ends and i == 3)][:top]
    words = tokenizer_of(run).tokens(ids)
    return [{"token": word, "id": i, "probability": float(p[i])} for word, i in zip(words, ids, strict=True)]


def of_tokens(
    run: Run, ids: Sequence[int], before: Logits | None, top: int, first: int
) -> Callable[[Logits], list[Any]]:
    """Return a function from the logits after some further tokens to a reply for each of these.

    Args:
        run: a run of task generate or translate.
        ids: all tokens of the request.
        before: logits (V,) before the first; None: nothing was read.
        top: number of next tokens in a reply.
        first: number of the first step.
    """
    words, last, count = tokenizer_of(run).tokens(ids), [before], [0]

    def reply(logits: Logits) -> list[Any]:
        found = []
        for own in logits:
            number = count[0]
            nats = None if last[0] is None else float(-_log_softmax(last[0])[ids[number]])
            found.append(
                {
                    "step": first + number,
                    "token": words[number],
                    "id": ids[number],
                    "nats": nats,
                    "next": next_tokens(run, own, top),
                }
            )
            last[0], count[0] = own, number + 1
        return found

    return reply


def of_labels(
    run: TaggingRun, words: Sequence[str | None], top: int | None, first: int
) -> Callable[[Logits], list[Any]]:
    """Return a function from the logits after some further subwords to a reply for each word that ends with one.

    Args:
        run: a run of task tag.
        words: the word that ends with each subword of the request, None for the other subwords.
        top: number of tags in a reply; None: all.
        first: number of the first step.
    """
    count = [0]

    def reply(logits: Logits) -> list[Any]:
        found = []
        for own in logits:
            number = count[0]
            count[0] += 1
            word = words[number]
            if word is None:
                continue
            values = scaled(_softmax(own), run.temperature)
            best = int(values.argmax())
            found.append(
                {
                    "step": first + number,
                    "word": word,
                    "tag": run.labels[best],
                    "probability": float(values[best]),
                    "probabilities": class_probabilities(run.labels, values.tolist(), top),
                }
            )
        return found

    return reply


def after_all(run: Run, logits: Logits, top: int | None) -> dict[str, Any]:
    """Return the reply of a model that answers once, after all inputs so far, from logits (V,)."""
    if isinstance(run, RegressionRun):
        return {"value": float(run.scale.restore(logits.astype(np.float64))[0])}
    if isinstance(run, MultiLabelRun):
        values = sigmoid(logits.astype(np.float64))
        return {"probabilities": class_probabilities(run.labels, values.tolist(), top)}
    values = scaled(_softmax(logits), run.temperature)
    best = int(values.argmax())
    return {
        "label": run.labels[best],
        "probability": float(values[best]),
        "probabilities": class_probabilities(run.labels, values.tolist(), top),
    }


def _softmax(logits: Logits) -> NDArray[np.float64]:
    values: NDArray[np.float64] = torch.from_numpy(logits.astype(np.float64)).softmax(dim=0).numpy()
    return values


def _log_softmax(logits: Logits) -> NDArray[np.float64]:
    values: NDArray[np.float64] = torch.from_numpy(logits.astype(np.float64)).log_softmax(dim=0).numpy()
    return values
