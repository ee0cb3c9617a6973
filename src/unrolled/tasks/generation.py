"""The task generate: a language model, which predicts each token of a text from those before it."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from unrolled.config import BestBy, Config, TrainingConfig
from unrolled.data.encoding.corpus import Corpus, load_corpus, refuse_short
from unrolled.data.encoding.tokenizers import Tokenizer
from unrolled.data.report.checks import RUINOUS_UNKNOWN, unknown_issues
from unrolled.data.report.texts import TextReport, inspect_text
from unrolled.decoding.generation import score_tokens
from unrolled.errors import ConfigError
from unrolled.evaluation import GenerationResult
from unrolled.evaluation.baselines import BaselineScores, timed
from unrolled.evaluation.by_example import ByExample, score_blocks
from unrolled.evaluation.generation import frequency_nats
from unrolled.evaluation.ngrams import ngram_nats
from unrolled.models import Model
from unrolled.runs.generation import GenerationRun, block_texts
from unrolled.runs.preprocessor import Preprocessor
from unrolled.runs.recorded import absolute
from unrolled.runs.run import Run
from unrolled.tasks.split_record import log_issues
from unrolled.training import generation
from unrolled.training.batch import Loader
from unrolled.training.progress import Score
from unrolled.training.task import Task

__all__ = ["Generate"]

SCORED_STREAMS, MIN_STREAM = 16, 4_096
"""Maximum number of parallel streams that score the validation split during training, and the minimum tokens of each.
(A result is scored in one stream.)"""
MAX_SCORED = 1_000_000
"""Maximum number of tokens of the validation split that are scored during training: its first ones."""

log = logging.getLogger("unrolled")


class Generate(Task):
    """The task generate.

    Args:
        data: the data, as the user named them.
        corpus: the three splits of the text as ids, and the tokeniser.
    """

    answer = "each"
    run = GenerationRun

    def __init__(self, data: object, corpus: Corpus) -> None:
        self.name, self.preprocessor, self.labels = corpus.name, corpus.tokenizer, ()
        self.data, self.corpus = data, corpus

    @classmethod
    def read(cls, data: object, config: Config, preprocessor: Preprocessor | None = None) -> Self:
        """Read a text, split it, and encode it or read the ids from the cache; see `Task.read`.

        Raises:
            DataError: the training split is shorter than a chunk, or the validation split is empty.
        """
        assert preprocessor is None or isinstance(preprocessor, Tokenizer)
        corpus = load_corpus(data, config.data, preprocessor)
        sizes = ", ".join(f"{name} {split.characters:,}" for name, split in corpus.splits.items())
        log.info("%s: %s characters; %s", corpus.how, sizes, "ids made" if corpus.built else "ids read from the cache")
        refuse_short(corpus, config.training.chunk)
        rates = {name: split.unknown / max(1, len(split)) for name, split in corpus.splits.items()}
        log_issues(unknown_issues(rates, most=RUINOUS_UNKNOWN))
        return cls(data, corpus)

    @classmethod
    def inspect(cls, data: object, config: Config) -> TextReport:
        """Return characters, tokens and vocabulary of every split; see `unrolled.data.report.texts`."""
        return inspect_text(data, config.data, chunk=config.training.chunk)

    @property
    def size(self) -> int:
        """The number of tokens of the training split."""
        return len(self.corpus.splits["train"])

    def typical_lengths(self, config: Config) -> tuple[int, int]:
        """Return 0, and the length of a chunk: the text is one sequence."""
        return 0, config.training.chunk

    def loader(self, model: Model, config: Config, device: torch.device) -> Loader:
        """Return streams for a model that carries a state, windows for one with a limited context.

        For a model with a maximum length a window is a sequence, whose tokens are each predicted from those before
        it in the window.

        Raises:
            ConfigError: the streams cannot be dealt to the shards in equal numbers.
        """
        ids, training = self.corpus.splits["train"].ids, config.training
        if model.receptive_field is None and model.max_length is None:
            streams = generation.Streams(ids, streams=training.streams, chunk=training.chunk, device=device)
            _refuse_unequal(len(streams.tokens), training)
            return streams
        return generation.Windows(
            ids,
            receptive_field=model.receptive_field or 1,
            streams=training.streams,
            chunk=model.max_length or training.chunk,
            seed=training.seed,
            device=device,
        )

    def loss(self, config: Config, device: torch.device) -> Callable[[Tensor, Tensor], Tensor]:
        """Return the nats of the right tokens, smoothed as configured."""
        return partial(generation.loss_nats, label_smoothing=config.training.label_smoothing)

    def score(self, model: Model, *, by: BestBy = "loss") -> Score:
        """Return mean loss and accuracy on the validation split: the fraction of tokens that were the most probable.

        At most MAX_SCORED tokens are scored, in up to SCORED_STREAMS streams, of which all but the first begin with the
        empty state in the middle of the text.
        """
        ids = self.corpus.splits["valid"].ids[:MAX_SCORED]
        scored = score_tokens(model, ids, streams=max(1, min(SCORED_STREAMS, len(ids) // MIN_STREAM)))
        N = len(ids)
        return Score(loss_nats=float(scored.nats.sum() / N), accuracy=float(scored.right.sum() / N), targets=N)

    def record(self) -> dict[str, Any]:
        """Return the splits, and the count of each token in the training split."""
        named = [self.data] if isinstance(self.data, str | Path) else list(self.data)  # type: ignore[call-overload]
        source = [absolute(file) for file in named]
        return {
            "name": self.name,
            "source": source[0] if len(source) == 1 else source,
            "how": self.corpus.how,
            "counts": self.corpus.counts.tolist(),
            "splits": {
                name: {
                    "characters": split.characters,
                    "tokens": len(split),
                    "unknown": split.unknown,
                    "files": split.files,
                    "fingerprint": split.fingerprint,
                }
                for name, split in self.corpus.splits.items()
            },
        }

    def test(self, run: Run) -> GenerationResult | None:
        """Return bits per character and the other measures on the test split."""
        assert isinstance(run, GenerationRun)
        split = self.corpus.splits["test"]
        return run.result(split) if len(split) else None

    def baselines(self) -> list[BaselineScores]:
        """Return the frequency of each token, and an n-gram model; see `unrolled.evaluation.ngrams`."""
        train, valid, test = (self.corpus.splits[name] for name in ("train", "valid", "test"))
        if not len(test):
            return []
        texts, counts = block_texts(self.corpus.tokenizer, test), self.corpus.counts

        def scores(nats: NDArray[np.float64]) -> ByExample:
            return score_blocks(nats, test.characters, texts)

        name, nats, seconds = ngram_nats(train.ids, valid.ids, test.ids, len(counts))
        return [
            timed("frequency of each token", lambda: scores(frequency_nats(counts)[test.ids])),
            BaselineScores(name, scores(nats), seconds),
        ]


def _refuse_unequal(streams: int, training: TrainingConfig) -> None:
    """Refuse shards that do not divide the streams of the text.

    Raises:
        ConfigError: names both numbers, and one that fits.
    """
    shards = training.shards or 1
    if streams % shards:
        short = "" if streams == training.streams else f" (the text is too short for {training.streams})"
        raise ConfigError(
            f"{streams} streams{short} cannot be dealt to {shards} shards in equal numbers: use another --streams, or "
            f"--shards {math.gcd(streams, shards)}"
        )
