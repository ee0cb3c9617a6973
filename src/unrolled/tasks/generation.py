"""The task generate: a language model predicts each token of a text from those before it, and so continues one."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, Self

import torch
from torch import Tensor

from unrolled.config import Config, from_flat
from unrolled.data.encoding.corpus import Corpus, Part, load_corpus, load_part
from unrolled.data.encoding.tokenizers import BOS, SPECIAL, Tokenizer
from unrolled.data.report.texts import TextReport, inspect_text
from unrolled.decoding.generation import Continuation, decode, score_tokens, stream
from unrolled.decoding.sampling import Sampling
from unrolled.decoding.search import LONGEST
from unrolled.errors import ConfigError, DataError, excerpt
from unrolled.evaluation import GenerationResult, evaluate_generation
from unrolled.inside import Example
from unrolled.inside.tokens import LIMIT, cut, read
from unrolled.models import Model
from unrolled.runs.preprocessor import Preprocessor
from unrolled.runs.run import Run, absolute, refuse_gone
from unrolled.tasks.parts import within
from unrolled.training import generation
from unrolled.training.loop import Source
from unrolled.training.progress import Score
from unrolled.training.task import OF_PAIRS, Task

__all__ = ["Generate", "GenerationRun"]

SCORED_STREAMS, STRETCH = 16, 4_096
"""While training, up to so many stretches of the validation part are read side by side, each of so many tokens at
least. (In results: one.)"""
MOST_SCORED = 1_000_000
"""Most tokens of the validation part that are scored while training, its first ones."""
NAMED = 5
"""How many unknown characters a message names."""

log = logging.getLogger("unrolled")


class GenerationRun(Run):
    """A trained language model."""

    ASK = '--prompt "a beginning"'

    def decode(
        self,
        prompts: str | Iterable[str] = "",
        *,
        length: int = 500,
        temperature: float = 1.0,
        top_k: int | None = None,
        top_p: float | None = None,
        seed: int | None = None,
        stop: str | Sequence[str] = (),
    ) -> list[Continuation]:
        """Continue one text or many, in their order. A prompt's continuation does not depend on its neighbours.

        Args:
            prompts: what to continue; "" begins a text.
            length: most tokens to write.
            temperature, top_k, top_p, seed: how tokens are chosen, see `unrolled.decoding.Sampling`; at temperature 0
                none of the others has a use.
            stop: a text ends before the first of these.

        Raises:
            DataError: a prompt is not a string, or holds what the run has never seen.
            ConfigError: a setting out of range or without use.
        """
        prompts = [prompts] if isinstance(prompts, str) else list(prompts)
        sampling = Sampling.asked(temperature, top_k, top_p, seed)
        read = [(prompt, self._ids(prompt, number)) for number, prompt in enumerate(prompts)]
        return decode(self.model, self.tokenizer, read, sampling, length=_length(length), stop=_stops(stop))

    def stream(
        self,
        prompt: str = "",
        *,
        length: int | None = None,
        temperature: float = 1.0,
        top_k: int | None = None,
        top_p: float | None = None,
        seed: int | None = None,
        stop: str | Sequence[str] = (),
    ) -> Iterator[str]:
        """Yield what `decode` would write, piece by piece as it is written; without a length, for ever.

        A recurrent row does so at constant memory and time a token. Arguments and errors are those of `decode`, and
        raised at once.
        """
        sampling, most = Sampling.asked(temperature, top_k, top_p, seed), None if length is None else _length(length)
        ids = self._ids(prompt, 0)
        return stream(self.model, self.tokenizer, ids, sampling, length=most, stop=_stops(stop))

    def refuse(self, prompt: str) -> None:
        """Refuse a prompt that `decode` would refuse.

        Raises:
            DataError: it holds what the run has never seen.
        """
        self._ids(prompt, 0)

    def example(self, given: Any, *, limit: int = LIMIT) -> Example:
        """Return a text, or a list of its tokens, as the model takes it: it is asked for each token, then for more."""
        tokens, left = cut(read(self.tokenizer, given), within(limit, self.model.limit) - 1)  # <bos> is read first
        self._ids(tokens.text, 0)  # refuses what the run has never seen
        return Example(
            text=tokens.text,
            inputs=torch.tensor([[BOS, *tokens.ids]]),
            tokens=(SPECIAL[BOS], *tokens.tokens),
            spans=((0, 0), *tokens.spans),
            steps=torch.arange(len(tokens.ids) + 1),
            answers=torch.tensor([*tokens.ids, -1]),
            meanings=self.tokenizer.tokens,
            cut=left,
        )

    def evaluate(self, data: object = None, *, cache: str | None = None) -> GenerationResult:
        """Say how well the model predicts `data`, or the test part it was trained beside.

        Each token is scored once, given all that stands before it, in one stream from the first to the last.

        Args:
            data: a text file, a folder, a list of these, a sample's name; None: the run's own test part.
            cache: folder for the ids; default: as in training.

        Raises:
            DataError: a text cannot be read, or (with None) training data that are gone or have changed.
        """
        config = self.config.data if cache is None else from_flat({"cache": cache}, base=self.config).data
        if data is not None:
            return self.result(load_part(data, config, self.tokenizer))
        source, recorded = self.record["data"]["source"], self.record["data"]["parts"]["test"]
        if not recorded["characters"]:
            raise DataError("this run was trained without a test part", fix=self.GIVE_DATA)
        refuse_gone(source, config, fix=self.GIVE_DATA)
        part = load_corpus(source, config, self.tokenizer).parts["test"]
        if part.fingerprint != recorded["fingerprint"]:
            raise DataError(
                "the test part is not the one of the training: the data have changed since",
                file=str(source),
                fix=self.GIVE_DATA,
            )
        return self.result(part)

    def result(self, part: Part) -> GenerationResult:
        """Evaluate on a text that is read already."""
        scored = score_tokens(self.model, part.ids)
        return evaluate_generation(
            *scored,
            characters=part.characters,
            unknown=part.unknown,
            train_counts=self.record["data"]["counts"],
            counts=part.counts(self.tokenizer.vocabulary_size),
        )

    def card(self) -> dict[str, str]:
        """What its model card says of the task."""
        parts = self.record["data"]["parts"].items()
        result = self.record["result"]
        return {
            "pipeline": "text-generation",
            "answers": f"It continues a text, {self.config.data.tokenizer} by {self.config.data.tokenizer}: "
            f"{self.tokenizer.vocabulary_size:,} tokens.",
            "ask": f"unrolled decode THIS_FOLDER {self.ASK}",
            "data": ", ".join(f"{part} {values['characters']:,}" for part, values in parts)
            + " characters. What it writes resembles that text, and is true of nothing.",
            "result": _result(result) if result else "",
        }

    def _ids(self, prompt: object, number: int) -> list[int]:
        """A prompt's ids."""
        if not isinstance(prompt, str):
            raise DataError(f"prompt {number} is a {type(prompt).__name__}, not a string", fix="give strings")
        if any("\ud800" <= character <= "\udfff" for character in prompt):
            raise DataError(f"prompt {number} holds half a character, which is not Unicode", fix="give whole ones")
        if unknown := self.tokenizer.unknown(prompt):
            first: dict[str, int] = {}
            for place, token in unknown:
                first.setdefault(token, place)
            shown = ", ".join(_named(token, place) for token, place in islice(first.items(), NAMED))
            more = f" and {len(first) - NAMED} more" if len(first) > NAMED else ""
            raise DataError(
                f"the text holds what the run has never seen: {shown}{more}",
                line=number,
                unit="prompt",
                row=prompt,
                fix="leave it out, or train with tokenizer byte or bpe, which know every character",
            )
        return [int(i) for ids in self.tokenizer.encode_blocks([prompt]) for i in ids]


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
            DataError: the training part is shorter than a chunk, or the validation part is empty.
        """
        assert preprocessor is None or isinstance(preprocessor, Tokenizer)
        corpus = load_corpus(data, config.data, preprocessor)
        sizes = ", ".join(f"{name} {part.characters:,}" for name, part in corpus.parts.items())
        log.info("%s: %s characters; %s", corpus.how, sizes, "ids made" if corpus.built else "ids found in the cache")
        train, valid = corpus.parts["train"], corpus.parts["valid"]
        if len(train) < config.training.chunk:
            raise DataError(
                f"the training part has {len(train):,} tokens, and one chunk {config.training.chunk:,}",
                file=corpus.source,
                fix="give a longer text, or a smaller --chunk",
            )
        if not len(valid):
            raise DataError(
                "the validation part is empty",
                file=corpus.source,
                fix="give a longer text, a file with --valid, or a larger --valid-share",
            )
        return cls(data, corpus)

    @classmethod
    def inspect(cls, data: object, config: Config) -> TextReport:
        """Characters, tokens, vocabulary of every part; see `unrolled.data.report.texts`."""
        return inspect_text(data, config.data)

    def source(self, model: Model, config: Config, device: torch.device) -> Source:
        """Streams for a model whose state carries on, windows for one that sees so many tokens and no more.

        Where sequences have a limit, a window is a sequence: each token is predicted from those before it there.
        """
        ids, training = self.corpus.parts["train"].ids, config.training
        if model.reach is None and model.limit is None:
            return generation.Streams(ids, streams=training.streams, chunk=training.chunk, device=device)
        return generation.Windows(
            ids,
            reach=model.reach or 1,
            streams=training.streams,
            chunk=model.limit or training.chunk,
            seed=training.seed,
            device=device,
        )

    def loss(self, config: Config, device: torch.device) -> Callable[[Tensor, Tensor], Tensor]:
        """Nats of the right tokens, smoothed as asked."""
        return partial(generation.loss_nats, label_smoothing=config.training.label_smoothing)

    def score(self, model: Model) -> Score:
        """Mean loss on the validation part, and the share of its tokens that were the first guess.

        Of up to 1,000,000 tokens, in up to 16 streams: all but one of them begin anew in the middle of the text.
        """
        ids = self.corpus.parts["valid"].ids[:MOST_SCORED]
        scored = score_tokens(model, ids, streams=max(1, min(SCORED_STREAMS, len(ids) // STRETCH)))
        return Score(loss_nats=float(scored.nats.sum() / len(ids)), accuracy=float(scored.right.sum() / len(ids)))

    def record(self) -> dict[str, Any]:
        """The parts, and how often each token stands in the training part."""
        named = [self.data] if isinstance(self.data, str | Path) else list(self.data)  # type: ignore[call-overload]
        source = [absolute(file) for file in named]
        return {
            "name": self.name,
            "source": source[0] if len(source) == 1 else source,
            "how": self.corpus.how,
            "counts": self.corpus.counts.tolist(),
            "parts": {
                name: {
                    "characters": part.characters,
                    "tokens": len(part),
                    "unknown": part.unknown,
                    "files": part.files,
                    "fingerprint": part.fingerprint,
                }
                for name, part in self.corpus.parts.items()
            },
        }

    def test(self, run: Run) -> GenerationResult | None:
        """Bits per character and all else on the test part."""
        assert isinstance(run, GenerationRun)
        part = self.corpus.parts["test"]
        return run.result(part) if len(part) else None


def _result(result: dict[str, Any]) -> str:
    low, high = result["bits_per_character_interval"]
    return (
        f"On {result['characters']:,} held-out characters: {result['bits_per_character']:.3f} bits per character "
        f"(95 % interval {low:.3f} to {high:.3f}); {result['loss_nats']:.3f} nats a token, perplexity "
        f"{result['perplexity']:.2f}. By the frequency of each token alone: "
        f"{result['frequency_bits_per_character']:.3f} bits."
    )


def _named(token: str, place: int) -> str:
    code = f" (U+{ord(token):04X})" if len(token) == 1 else ""
    return f'"{excerpt(token, 20)}"{code} at character {place + 1}'


def _length(length: int) -> int:
    if not 0 <= length <= LONGEST:
        raise ConfigError(f"length must be from 0 to {LONGEST:,}: got {length}")
    return length


def _stops(stop: str | Sequence[str]) -> list[str]:
    stops = [stop] if isinstance(stop, str) else list(stop)
    if "" in stops:
        raise ConfigError("stop must not be empty: every text holds it at once")
    return stops
