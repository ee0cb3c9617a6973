"""The task generate: a language model predicts each token of a text from those before it, and so continues one."""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, Self

import torch
from torch import Tensor

from unrolled.config import Config
from unrolled.data.encoding.corpus import Corpus, load_corpus
from unrolled.data.encoding.tokenizers import Tokenizer
from unrolled.data.report.texts import TextReport, inspect_text
from unrolled.decoding.generation import score_tokens
from unrolled.errors import DataError
from unrolled.evaluation import GenerationResult
from unrolled.models import Model
from unrolled.runs.generation import GenerationRun
from unrolled.runs.preprocessor import Preprocessor
from unrolled.runs.run import Run, absolute
from unrolled.training import generation
from unrolled.training.batch import Loader
from unrolled.training.progress import Score
from unrolled.training.task import OF_PAIRS, Task

__all__ = ["Generate"]

SCORED_STREAMS, STRETCH = 16, 4_096
"""While training, up to so many stretches of the validation split are read side by side, each of so many tokens at
least. (In results: one.)"""
MOST_SCORED = 1_000_000
"""Most tokens of the validation split that are scored while training, its first ones."""

log = logging.getLogger("unrolled")


class Generate(Task):
    """A text in three parts, as ids.

    Args:
        data: what the corpus was read from. corpus: the parts and the tokeniser. streams, chunk: as configured.
    """

    answer = "each"
    run = GenerationRun
    unused = (
        OF_PAIRS
        | {"text", "label", "on_bad_row", "by", "permutation_seed", "whole_words"}
        | {"batch_tokens", "batch_images", "class_weights", "bidirectional"}
    )

    def __init__(self, data: object, corpus: Corpus) -> None:
        self.name, self.preprocessor, self.labels = corpus.name, corpus.tokenizer, ()
        self.data, self.corpus = data, corpus

    @classmethod
    def read(cls, data: object, config: Config, preprocessor: Preprocessor | None = None) -> Self:
        """Read a text, cut it, turn it into ids or find these; see `Task.read`.

        Raises:
            DataError: the training split is shorter than a chunk, or the validation split is empty.
        """
        assert preprocessor is None or isinstance(preprocessor, Tokenizer)
        corpus = load_corpus(data, config.data, preprocessor)
        sizes = ", ".join(f"{name} {part.characters:,}" for name, part in corpus.splits.items())
        log.info("%s: %s characters; %s", corpus.how, sizes, "ids made" if corpus.built else "ids found in the cache")
        train, valid = corpus.splits["train"], corpus.splits["valid"]
        if len(train) < config.training.chunk:
            raise DataError(
                f"the training split has {len(train):,} tokens, and one chunk {config.training.chunk:,}",
                file=corpus.source,
                fix="give a longer text, or a smaller --chunk",
            )
        if not len(valid):
            raise DataError(
                "the validation split is empty",
                file=corpus.source,
                fix="give a longer text, a file with --valid, or a larger --valid-fraction",
            )
        return cls(data, corpus)

    @classmethod
    def inspect(cls, data: object, config: Config) -> TextReport:
        """Characters, tokens, vocabulary of every part; see `unrolled.data.report.texts`."""
        return inspect_text(data, config.data)

    def loader(self, model: Model, config: Config, device: torch.device) -> Loader:
        """Streams for a model whose state carries on, windows for one that sees so many tokens and no more.

        Where sequences have a limit, a window is a sequence: each token is predicted from those before it there.
        """
        ids, training = self.corpus.splits["train"].ids, config.training
        if model.receptive_field is None and model.max_length is None:
            return generation.Streams(ids, streams=training.streams, chunk=training.chunk, device=device)
        return generation.Windows(
            ids,
            receptive_field=model.receptive_field or 1,
            streams=training.streams,
            chunk=model.max_length or training.chunk,
            seed=training.seed,
            device=device,
        )

    def loss(self, config: Config, device: torch.device) -> Callable[[Tensor, Tensor], Tensor]:
        """Nats of the right tokens, smoothed as asked."""
        return partial(generation.loss_nats, label_smoothing=config.training.label_smoothing)

    def score(self, model: Model) -> Score:
        """Mean loss on the validation split, and the share of its tokens that were the first guess.

        Of up to 1,000,000 tokens, in up to 16 streams: all but one of them begin anew in the middle of the text.
        """
        ids = self.corpus.splits["valid"].ids[:MOST_SCORED]
        scored = score_tokens(model, ids, streams=max(1, min(SCORED_STREAMS, len(ids) // STRETCH)))
        return Score(loss_nats=float(scored.nats.sum() / len(ids)), accuracy=float(scored.right.sum() / len(ids)))

    def record(self) -> dict[str, Any]:
        """The parts, and how often each token stands in the training split."""
        named = [self.data] if isinstance(self.data, str | Path) else list(self.data)  # type: ignore[call-overload]
        source = [absolute(file) for file in named]
        return {
            "name": self.name,
            "source": source[0] if len(source) == 1 else source,
            "how": self.corpus.how,
            "counts": self.corpus.counts.tolist(),
            "splits": {
                name: {
                    "characters": part.characters,
                    "tokens": len(part),
                    "unknown": part.unknown,
                    "files": part.files,
                    "fingerprint": part.fingerprint,
                }
                for name, part in self.corpus.splits.items()
            },
        }

    def test(self, run: Run) -> GenerationResult | None:
        """Bits per character and all else on the test split."""
        assert isinstance(run, GenerationRun)
        part = self.corpus.splits["test"]
        return run.result(part) if len(part) else None
