"""The task translate: a sequence in, another sequence out, of any length and in any order; both are texts."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, Self

import numpy as np
import torch
from torch import Tensor

from unrolled.config import Config, DataConfig
from unrolled.data.encoding.batches import Sequences
from unrolled.data.encoding.pairs import Fault, PairSequences, PairTokenizers, encode, fault, leave_out
from unrolled.data.encoding.tokenizers import BOS, EOS
from unrolled.data.examples.pairs import PairedTexts, load_pairs, read_sources
from unrolled.data.report.pairs import PairReport, inspect_pairs
from unrolled.data.splits.pairs import PairSplits, split_pairs
from unrolled.decoding import Beam, Sampling, Translation, score_targets, translate
from unrolled.decoding.search import LONGEST, search
from unrolled.decoding.translation import most_tokens, stream
from unrolled.errors import ConfigError, DataError, excerpt
from unrolled.evaluation import TranslationResult, evaluate_translation
from unrolled.inside import Example, Source
from unrolled.inside.tokens import LIMIT, Tokens, cut, left_out, read, written
from unrolled.models import Model, Pairs
from unrolled.runs.preprocessor import Preprocessor
from unrolled.runs.run import Run
from unrolled.tasks.parts import described, log_read, log_splits, own_test, reading, within
from unrolled.training import generation, translation
from unrolled.training.progress import Score
from unrolled.training.task import Task

__all__ = ["Translate", "TranslationRun"]

log = logging.getLogger("unrolled")


class TranslationRun(Run):
    """A trained translator."""

    ASK = '"a source of your own"'

    @property
    def tokenizers(self) -> PairTokenizers:
        """Sources to ids, and ids to targets."""
        assert isinstance(self.preprocessor, PairTokenizers)
        return self.preprocessor

    def decode(
        self,
        sources: str | Iterable[str],
        *,
        beam: int = 1,
        length_penalty: float | None = None,
        n_best: int = 1,
        temperature: float = 0.0,
        top_k: int | None = None,
        top_p: float | None = None,
        seed: int | None = None,
        prefix: str = "",
        min_length: int = 0,
        length: int | None = None,
        cut: bool | None = None,
    ) -> list[Translation]:
        """Write the target of one source or many, in their order. An answer does not depend on its neighbours.

        Args:
            sources: one text, or several.
            beam, length_penalty, n_best: see `unrolled.decoding.Beam`; a beam of 1 takes the most probable token, and
                has no use for the others.
            temperature, top_k, top_p, seed: above 0 tokens are drawn instead, see `unrolled.decoding.Sampling`; at 0
                none of the others has a use.
            prefix: what each answer begins with.
            min_length, length: fewest and most tokens to write, the end that it finds itself being one of them; by
                default as many as the longest target of training has.
            cut: whether a source beyond the limit is cut, which its answer says; default: as in training.

        Raises:
            DataError: a source is not a string, is empty, beyond the limit, or has nothing that the run knows.
            ConfigError: a setting out of range or without use.
        """
        how = _how(beam, length_penalty, n_best, temperature, top_k, top_p, seed)
        texts = [sources] if isinstance(sources, str) else list(sources)
        read = self._sources(texts, cut)
        ids = Sequences(each.ids for each in read)
        self._refuse_unknown(prefix)
        longest, target = self._longest(length, min_length), self.tokenizers.target
        found = translate(self.model, target, texts, ids, how, prefix=prefix, min_length=min_length, max_length=longest)
        return [replace(answer, cut=each.cut) for answer, each in zip(found, read, strict=True)]

    def stream(
        self,
        source: str,
        *,
        temperature: float = 0.0,
        top_k: int | None = None,
        top_p: float | None = None,
        seed: int | None = None,
        prefix: str = "",
        min_length: int = 0,
        length: int | None = None,
        cut: bool | None = None,
    ) -> Iterator[str]:
        """Yield what `decode` would write without a beam, piece by piece; arguments and errors are its, at once."""
        how = Sampling.asked(temperature, top_k, top_p, seed)
        (read,) = self._sources([source], cut)
        self._refuse_unknown(prefix)
        longest, target = self._longest(length, min_length), self.tokenizers.target
        return stream(self.model, target, read.ids, how, prefix=prefix, min_length=min_length, max_length=longest)

    def refuse(self, source: str, *, cut: bool | None = None) -> None:
        """Refuse a source that `decode` would refuse; `cut` as there.

        Raises:
            DataError: it is beyond the limit, or has nothing that the run knows.
        """
        self._taken(source, 0, reading(self, cut=cut))

    def example(self, given: Any, *, limit: int = LIMIT) -> Example:
        """Return a source, or a pair (source, target), as the model takes it: it is asked for the target, to <eos>.

        Without a target, it is the one that the model finds, taking the most probable token each time. Either side may
        be a list of tokens.
        """
        source, target = given if isinstance(given, tuple) and len(given) == 2 else (given, None)
        most = within(limit, self.model.source_limit)
        first, left = cut(read(self.tokenizers.source, source), most, "tokens of the source")
        self.refuse(first.text, cut=True)
        ids = torch.tensor([first.ids])
        tokens, ended = self._found(ids) if target is None else (self._given(target), True)
        room = int(self.model.room(torch.tensor([ids.shape[1]])))  # for <bos> and the target
        tokens, also = cut(tokens, min(limit, room - 1), "tokens of the target")
        special = {name: self.tokenizers.target.tokens([name])[0] for name in (BOS, EOS)}
        ended = ended and not also
        return Example(
            text=tokens.text,
            inputs=torch.tensor([[BOS, *tokens.ids]]),
            tokens=(special[BOS], *tokens.tokens),
            spans=((0, 0), *tokens.spans),
            steps=torch.arange(len(tokens.ids) + 1),
            answers=torch.tensor([*tokens.ids, EOS if ended else -1]),
            meanings=self.tokenizers.target.tokens,
            source=Source(first.text, ids, first.tokens, first.spans),
            cut="; ".join(each for each in (left, also) if each),
        )

    def _found(self, source: Tensor) -> tuple[Tokens, bool]:
        """The target that the model finds for the ids of a source, (1, S), and whether it has ended it."""
        device = next(self.model.parameters()).device
        with torch.no_grad():
            state = self.model.begin(source.to(device))
        longest = most_tokens(self.model, torch.tensor([source.shape[1]]), (), self._longest(None))
        ((best, *_),) = search(self.model, [[]], Sampling(temperature=0), state=state, max_length=longest)
        return written(self.tokenizers.target, best.tokens), best.ended == "eos"

    def _given(self, target: Any) -> Tokens:
        """A target that was given, a text or a list of tokens."""
        tokens = read(self.tokenizers.target, target)
        self._refuse_unknown(tokens.text)
        return tokens

    def read_texts(
        self, path: str | Path, *, source: str | None = None, on_bad_row: str | None = None, cut: bool | None = None
    ) -> list[str]:
        """Read the sources of a file that may have no targets, to decode them.

        Args:
            path: a CSV, TSV, JSONL or Parquet file, or a sample's name.
            source: the column; default: as in training.
            on_bad_row: "stop" or "skip"; default: as in training.
            cut: whether `decode` will cut a source beyond the limit, which is a bad row else; default: as in training.

        Raises:
            DataError: a bad row, or a file that cannot be read.
        """
        settings = reading(self, source=source, on_bad_row=on_bad_row, cut=cut)
        part = read_sources(path, settings)
        bad = {row: found for row, text in enumerate(part.sources()) if (found := self._source(text, settings).fault)}
        left = leave_out(part, bad, settings)
        log_read(left)
        return list(left.sources())

    def evaluate(
        self,
        data: object = None,
        *,
        source: str | None = None,
        target: str | None = None,
        on_bad_row: str | None = None,
        cut: bool | None = None,
        beam: int = 1,
        length_penalty: float | None = None,
    ) -> TranslationResult:
        """Compare the model's answers with the targets of `data`, or of the test part it was trained beside.

        A source that stands there with several targets is answered once; each of them is a reference.

        Args:
            data: a path, a sample's name or Python objects; None: the run's own test part.
            source, target: the columns; default: as in training.
            on_bad_row: "stop" or "skip"; default: as in training.
            cut: whether what is beyond the limit is cut; default: as in training.
            beam, length_penalty: see `decode`.

        Raises:
            DataError: a bad row, a pair that the model cannot take, or (with None) training data that are gone or have
                changed.
            ConfigError: columns are named without data, a beam out of range, or a penalty without one.
        """
        how = _how(beam, length_penalty)
        settings = reading(self, source=source, target=target, on_bad_row=on_bad_row, cut=cut)
        pairs: PairSequences

        def encoded(part: PairedTexts) -> PairedTexts:
            nonlocal pairs
            part, pairs = self._encode(part, settings)
            return part

        if data is not None:
            part = load_pairs(data, settings)
            log_read(part)
            part = encoded(part)
        elif settings != self.config.data:
            raise ConfigError(
                "the run's own test part is read as in training: leave source, target, on_bad_row, cut out"
            )
        else:
            part = own_test(self, lambda given: encoded(split_pairs(given, settings).test))
        return self.result(part, pairs, how)

    def result(self, part: PairedTexts, pairs: PairSequences, how: Beam | Sampling | None = None) -> TranslationResult:
        """Evaluate on pairs that are read already; `how` answers are found, by default greedily."""
        references = part.references()
        place = {source: number for number, source in enumerate(references)}
        which = np.array([place[source] for source in part.sources()])  # (N,), the source of each pair
        sources = pairs.sources.select(np.unique(which, return_index=True)[1])  # M different ones
        greedy, longest = Sampling(temperature=0), self._longest(None)
        answers = translate(
            self.model, self.tokenizers.target, list(references), sources, how or greedy, max_length=longest
        )
        scored = score_targets(self.model, pairs)
        return evaluate_translation(
            [answer.text for answer in answers],
            list(references.values()),
            sources.lengths.numpy(),
            nats=np.bincount(which, scored.nats),
            tokens=np.bincount(which, scored.tokens).astype(np.int64),
            cut=sum(answer.targets[0].ended == "length" for answer in answers),
        )

    def card(self) -> dict[str, str]:
        """What its model card says of the task."""
        parts, config = self.record["data"]["parts"].items(), self.config.data
        kinds = f"{config.source_tokenizer or config.tokenizer} by {config.source_tokenizer or config.tokenizer}"
        return {
            "pipeline": "translation",
            "answers": f"It reads a source {kinds} and writes a target {config.tokenizer} by {config.tokenizer}.",
            "ask": f"unrolled decode THIS_FOLDER {self.ASK}",
            "data": ", ".join(f"{part} {values['rows']:,}" for part, values in parts)
            + " pairs. What it writes comes from that data and is no truer.",
            "result": _result(self.record["result"]) if self.record["result"] else "",
        }

    def _encode(self, part: PairedTexts, settings: DataConfig) -> tuple[PairedTexts, PairSequences]:
        left, pairs = encode(part, self.tokenizers, settings)
        if left is not part:
            log_read(left)
        _refuse_longer(self.model, left, pairs)
        return left, pairs

    def _sources(self, texts: Iterable[object], cut: bool | None) -> list[_Source]:
        """Texts as sources that the model can take; how many were cut is logged."""
        settings = reading(self, cut=cut)
        found = [self._taken(text, number, settings) for number, text in enumerate(texts)]
        if long := sum(bool(each.cut) for each in found):
            many = f"{long:,} source{'s'[: long != 1]}"
            log.info("cut at %s tokens, being longer: %s", f"{settings.max_length:,}", many)
        return found

    def _taken(self, text: object, number: int, settings: DataConfig) -> _Source:
        """A text as a source that the model can take."""
        fix = "give strings with at least one character that is no space"
        if not isinstance(text, str):
            raise DataError(f"source {number} is a {type(text).__name__}, not a string", fix=fix)
        if not text.strip():
            raise DataError(f"source {number} is empty", fix=fix)
        if _has_half(text):
            raise DataError(f"source {number} holds half a character, which is not Unicode", fix="give whole ones")
        found = self._source(text, settings)
        if found.fault:
            raise DataError(found.fault.problem, line=number, unit="source", row=text, fix=found.fault.fix)
        return found

    def _source(self, text: str, settings: DataConfig) -> _Source:
        (ids,) = self.tokenizers.source.encode([text])
        most = min(settings.max_length, self.model.source_limit or settings.max_length)
        first = ids[:most] if settings.cut else ids
        cut = left_out(len(ids), len(first), "tokens of the source")
        return _Source(first, cut, fault("source", first, most))

    def _refuse_unknown(self, prefix: str) -> None:
        """Refuse a prefix that cannot be written."""
        if _has_half(prefix):
            raise DataError(
                "the prefix holds half a character, which is not Unicode", row=prefix, fix="give whole characters"
            )
        if unknown := self.tokenizers.target.unknown(prefix):
            raise DataError(f'the prefix holds what the run has never seen: "{excerpt(unknown[0][1], 20)}"', row=prefix)

    def _longest(self, length: int | None, min_length: int = 0) -> int:
        """Most tokens to write, <eos> included."""
        most = 1 + int(self.record["data"]["longest_target"]) if length is None else length
        if not 1 <= most <= LONGEST:
            raise ConfigError(f"length must be from 1 to {LONGEST:,}: got {most}")
        if not 0 <= min_length <= most:
            raise ConfigError(
                f"min_length must be from 0 to length, {most}: got {min_length}; give a smaller one, or a larger length"
            )
        return most


class _Source(NamedTuple):
    """A source as a model takes it."""

    ids: list[int]
    cut: str  # what was left out of it, in a sentence; "" where nothing was
    fault: Fault | None  # why the model cannot take it


class Translate(Task):
    """Pairs of a source and a target, in three parts.

    Args:
        data: what the splits were read from. splits: the parts, each but for what a model cannot take. tokenizers:
            learned from the training part. pairs: the parts as ids.
    """

    answer = "each"
    run = TranslationRun
    labels = ()
    smallest = Pairs(1, 1)
    unused = frozenset(
        {"text", "label", "by", "permutation_seed", "batch_images", "whole_words"}
        | {"cache", "streams", "chunk", "class_weights"}
    )

    def __init__(
        self, data: object, splits: PairSplits, tokenizers: PairTokenizers, pairs: dict[str, PairSequences]
    ) -> None:
        self.name, self.preprocessor = splits.train.name, tokenizers
        self.data, self.splits, self.pairs = data, splits, pairs

    @classmethod
    def read(cls, data: object, config: Config, preprocessor: Preprocessor | None = None) -> Self:
        """Read pairs, split them and turn them into ids; see `Task.read`."""
        splits = split_pairs(data, config.data)
        assert preprocessor is None or isinstance(preprocessor, PairTokenizers)
        tokenizers = preprocessor or PairTokenizers.learn(splits.train, config.data)
        made = {name: encode(part, tokenizers, config.data) for name, part in splits.parts().items()}
        train, valid, test = (part for part, _ in made.values())
        splits = replace(splits, train=train, valid=valid, test=test)
        log_splits(splits)
        return cls(data, splits, tokenizers, {name: pairs for name, (_, pairs) in made.items()})

    @classmethod
    def inspect(cls, data: object, config: Config) -> PairReport:
        """Pairs, lengths and vocabulary of both sides; see `unrolled.data.report.pairs`."""
        return inspect_pairs(data, config.data)

    def source(self, model: Model, config: Config, device: torch.device) -> translation.TranslationSource:
        """Batches of pairs of like length."""
        training = config.training
        return translation.TranslationSource(
            self.pairs["train"], batch_tokens=training.batch_tokens, seed=training.seed, device=device
        )

    def refuse_longer(self, model: Model, row: str) -> None:
        """Refuse pairs that do not fit into the model's window; see `Task.refuse_longer`."""
        for name, part in self.splits.parts().items():
            _refuse_longer(model, part, self.pairs[name])

    def loss(self, config: Config, device: torch.device) -> Callable[[Tensor, Tensor], Tensor]:
        """Nats of the right tokens, smoothed as asked."""
        return partial(generation.loss_nats, label_smoothing=config.training.label_smoothing)

    def score(self, model: Model) -> Score:
        """Mean loss on the target tokens of the validation part, and the share that were the first guess."""
        return translation.score(model, self.pairs["valid"])

    def record(self) -> dict[str, Any]:
        """The parts, and how many tokens the longest target has."""
        longest = int(self.pairs["train"].tokens[:, 1].max())
        return {**described(self.data, self.splits), "longest_target": longest}

    def test(self, run: Run) -> TranslationResult | None:
        """BLEU, edit rates and all else on the test part, by the most probable token at each step."""
        assert isinstance(run, TranslationRun)
        return run.result(self.splits.test, self.pairs["test"]) if len(self.splits.test) else None


def _refuse_longer(model: Model, part: PairedTexts, pairs: PairSequences) -> None:
    """Refuse pairs that do not fit into the model's window."""
    S, T = pairs.lengths.unbind(1)
    for row in (model.room(S) < T).nonzero().flatten().tolist():
        raise part.error(
            row,
            "target",
            f"a source of {int(S[row]):,} tokens and a target of {int(T[row]):,}, <bos> counted, do not fit into the "
            "model's window",
            "give shorter ones, cut them with --max-length and --cut, or train with a larger --window",
        )


def _has_half(text: str) -> bool:
    """Whether a text holds half a character (a lone surrogate)."""
    return any("\ud800" <= character <= "\udfff" for character in text)


def _how(
    beam: int,
    length_penalty: float | None = None,
    n_best: int = 1,
    temperature: float = 0.0,
    top_k: int | None = None,
    top_p: float | None = None,
    seed: int | None = None,
) -> Beam | Sampling:
    """How answers are found: by a beam, by drawing, or, with neither, by the most probable token.

    Raises:
        ConfigError: a value out of range, or one that has no use in the way that the others ask for.
    """
    found = Beam(beam, Beam.length_penalty if length_penalty is None else length_penalty, n_best)
    if beam > 1:
        if temperature != 0 or (top_k, top_p, seed) != (None, None, None):
            raise ConfigError(
                f"a beam of {beam} searches; temperature, top_k, top_p and seed are for drawing: leave one out"
            )
        return found
    if length_penalty is not None:
        raise ConfigError("length_penalty is for a beam of 2 or more, and none is asked for: leave it out, or give one")
    return Sampling.asked(temperature, top_k, top_p, seed)


def _result(result: dict[str, Any]) -> str:
    low, high = result["exact_match_interval"]
    return (
        f"On {result['n']:,} held-out sources, taking the most probable token each time: {result['exact_match']:.1%} "
        f"answered as a reference (95 % interval {low:.1%} to {high:.1%}), word edits {result['word_edit_rate']:.1%}, "
        f"BLEU {result['bleu']:.1f}, chrF {result['chrf']:.1f}; {result['loss_nats']:.3f} nats a token."
    )
