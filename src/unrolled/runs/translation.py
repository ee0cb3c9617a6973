"""A trained translator: decode, stream, evaluate, and the example that `explain` reads."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from unrolled.config import DataConfig
from unrolled.data.encoding.batches import Sequences
from unrolled.data.encoding.pairs import (
    DistinctSources,
    Fault,
    PairSequences,
    PairTokenizers,
    distinct_sources,
    encode,
    fault,
    leave_out,
)
from unrolled.data.encoding.tokenizers import BOS, EOS
from unrolled.data.examples.pairs import PairedTexts, load_pairs, read_sources
from unrolled.data.splits.pairs import split_pairs
from unrolled.decoding.candidates import Candidates, tree
from unrolled.decoding.finite import refuse_infinite
from unrolled.decoding.options import BeamOptions, Options, TranslationOptions, TranslationStreamOptions, documented
from unrolled.decoding.sampling import GREEDY, Sampling
from unrolled.decoding.search import Beam, Hypothesis, search, strategy_of
from unrolled.decoding.teacher_forcing import score_targets
from unrolled.decoding.translation import Translation, max_lengths, stream, translate
from unrolled.display import Answers
from unrolled.errors import DataError, excerpt
from unrolled.evaluation import TranslationResult, evaluate_translation
from unrolled.evaluation.by_example import ByExample, score_translations
from unrolled.models import Model
from unrolled.runs.reading import allowed_length, log_read, read_held_out, reading, separate
from unrolled.runs.run import MAX_LENGTH, Run
from unrolled.strings import NOT_UNICODE, has_surrogate, truncation

if TYPE_CHECKING:
    from unrolled.inside import Example
    from unrolled.inside.tokens import Tokens

__all__ = ["TranslationRun", "refuse_longer"]

Schema = TypeVar("Schema", bound=Options)
log = logging.getLogger("unrolled")

EXPLAINED_BEAM = 3  # hypotheses of the search in a trace


class TranslationRun(Run):
    """A trained translator."""

    answer = "each"

    EXAMPLE_INPUT = '"a source of your own"'
    EVALUATE_OPTIONS = BeamOptions

    @property
    def tokenizers(self) -> PairTokenizers:
        """Sources to ids, and ids to targets."""
        assert isinstance(self.preprocessor, PairTokenizers)
        return self.preprocessor

    @documented(TranslationOptions)
    def decode(self, sources: str | Iterable[str], **options: Any) -> list[Translation]:
        """Return the translation of one source or many, in order. An answer does not depend on the other sources.

        Args:
            sources: one text, or several.
            options: listed below. By default the most probable token is taken each time; with a beam, the most
                probable sequences are searched; with a temperature, tokens are drawn.

        Raises:
            DataError: a source is not a string, is empty, too long, or has no token that the run knows.
            ConfigError: an option is unknown, out of range or without effect.
        """
        chosen = self._options(TranslationOptions, options)
        texts = [sources] if isinstance(sources, str) else list(sources)
        read = self._sources(texts, chosen.truncate)
        ids = Sequences(each.ids for each in read)
        self._refuse_unknown(chosen.prefix, "prefix")
        with self.answering(chosen.precision):
            answers = translate(
                self.model,
                self.tokenizers.target,
                texts,
                ids,
                strategy_of(chosen),
                prefix=chosen.prefix,
                min_length=chosen.min_length,
                max_length=chosen.length,
            )
        return Answers(replace(answer, truncated=each.truncated) for answer, each in zip(answers, read, strict=True))

    @documented(TranslationStreamOptions)
    def stream(self, source: str, **options: Any) -> Iterator[str]:
        """Yield the target that `decode` would write without a beam, in pieces, as it is written.

        Errors are those of `decode`, and raised at once.

        Args:
            source: one text.
            options: listed below.
        """
        chosen = self._options(TranslationStreamOptions, options)
        (read,) = self._sources([source], chosen.truncate)
        self._refuse_unknown(chosen.prefix, "prefix")
        return stream(
            self.model,
            self.tokenizers.target,
            read.ids,
            Sampling.from_options(chosen),
            prefix=chosen.prefix,
            min_length=chosen.min_length,
            max_length=chosen.length,
            precision=chosen.precision,
        )

    def _options(self, schema: type[Schema], options: dict[str, Any]) -> Schema:
        """Validate options; their length is by default that of the longest target of training."""
        return schema.parse(options, task=self.config.task, defaults={"length": self.default_length()})

    def source_ids(self, source: str, *, truncate: bool | None = None) -> list[int]:
        """Return the ids of one source; `truncate` as in `decode`.

        Raises:
            DataError: as `decode`.
        """
        (read,) = self._sources([source], truncate)
        return list(read.ids)

    def prefix_ids(self, prefix: str) -> list[int]:
        """Return the ids of a prefix of targets.

        Raises:
            DataError: it contains a token that the run does not know.
        """
        self._refuse_unknown(prefix, "prefix")
        return [int(i) for ids in self.tokenizers.target.encode_blocks([prefix]) for i in ids]

    def refuse(self, source: str, *, truncate: bool | None = None) -> None:
        """Refuse a source that `decode` would refuse; `truncate` as there.

        Raises:
            DataError: it is too long, or has no token that the run knows.
        """
        self._checked(source, 0, reading(self, truncate=truncate))

    def example(self, input: Any, *, max_length: int = MAX_LENGTH) -> Example:
        """Return a source, or a pair (source, target), as an input of the model; each token of the target is explained.

        Without a target, the target is written by the model (greedy). Either side may be a list of tokens.

        Args:
            input: a source, or a pair.
            max_length: maximum number of tokens to read of each side.
        """
        from unrolled.inside import Example, Source
        from unrolled.inside.tokens import read, truncate

        source, target = input if isinstance(input, tuple) and len(input) == 2 else (input, None)
        longest = allowed_length(max_length, self.model.max_source_length)
        first, source_note = truncate(read(self.tokenizers.source, source), longest, "tokens of the source")
        self.refuse(first.text, truncate=True)
        ids = torch.tensor([first.ids])
        tokens, ended = self._greedy_target(ids) if target is None else (self._target(target), True)
        beam = self._beam(ids) if target is None else {}
        remaining = int(self.model.remaining_length(torch.tensor([ids.shape[1]])))  # for <bos> and the target
        tokens, target_note = truncate(tokens, min(max_length, remaining - 1), "tokens of the target")
        special = {name: self.tokenizers.target.tokens([name])[0] for name in (BOS, EOS)}
        ended = ended and not target_note
        return Example(
            text=tokens.text,
            inputs=torch.tensor([[BOS, *tokens.ids]]),
            tokens=(special[BOS], *tokens.tokens),
            spans=((0, 0), *tokens.spans),
            steps=torch.arange(len(tokens.ids) + 1),
            answers=torch.tensor([*tokens.ids, EOS if ended else -1]),
            meanings=self.tokenizers.target.tokens,
            source=Source(first.text, ids, first.tokens, first.spans),
            truncated="; ".join(note for note in (source_note, target_note) if note),
            also={f"beam.{name}": value for name, value in beam.items()},
            beam=tuple(self.tokenizers.target.tokens(beam["token"].tolist())) if beam else (),
        )

    def _beam(self, source: Tensor) -> dict[str, Tensor]:
        """Return the nodes of a beam search for the ids of a source, (1, S); see `decoding.candidates.tree`."""
        record: list[Candidates] = []
        self._searched(source, Beam(EXPLAINED_BEAM), record)
        return tree(record)

    def _greedy_target(self, source: Tensor) -> tuple[Tokens, bool]:
        """Return the greedy target for the ids of a source, (1, S), and whether it ends with <eos>."""
        from unrolled.inside.tokens import written

        best = self._searched(source, GREEDY)
        return written(self.tokenizers.target, best.tokens), best.ended == "eos"

    def _searched(
        self, source: Tensor, strategy: Sampling | Beam, record: list[Candidates] | None = None
    ) -> Hypothesis:
        """Return the best hypothesis for the ids of a source, (1, S); see `search`."""
        device = next(self.model.parameters()).device
        with torch.no_grad():
            state = self.model.encode(source.to(device))
        longest = max_lengths(self.model, torch.tensor([source.shape[1]]), (), self.default_length())
        ((best, *_),) = search(self.model, [[]], strategy, state=state, max_length=longest, record=record)
        return best

    def _target(self, target: Any) -> Tokens:
        """Return the tokens of a target, a text or a list of tokens."""
        from unrolled.inside.tokens import read

        tokens = read(self.tokenizers.target, target)
        self._refuse_unknown(tokens.text, "target")
        return tokens

    def read_texts(
        self,
        path: str | Path,
        *,
        source: str | None = None,
        header: bool | None = None,
        separator: str | None = None,
        on_bad_row: str | None = None,
        truncate: bool | None = None,
    ) -> list[str]:
        """Read the sources of a file that may have no targets, to decode them.

        Args:
            path: a CSV, TSV, JSONL or Parquet file, or a sample's name.
            source: the column; default: as in training.
            header: whether the first row of a CSV or TSV file names the columns; default: as in training.
            separator: separator of the columns of a CSV or TSV file; default: as in training.
            on_bad_row: "stop" or "skip"; default: as in training.
            truncate: whether `decode` will truncate sources beyond the maximum length; else they are bad rows; default:
                as in training.

        Raises:
            DataError: a bad row, or a file that cannot be read.
        """
        settings = reading(
            self, source=source, header=header, separator=separator, on_bad_row=on_bad_row, truncate=truncate
        )
        pairs = read_sources(path, settings)
        bad = {row: fault for row, text in enumerate(pairs.sources()) if (fault := self._source(text, settings).fault)}
        usable = leave_out(pairs, bad, settings)
        log_read(usable)
        return list(usable.sources())

    @documented(BeamOptions)
    def evaluate(
        self,
        data: object = None,
        *,
        source: str | None = None,
        target: str | None = None,
        header: bool | None = None,
        separator: str | None = None,
        on_bad_row: str | None = None,
        truncate: bool | None = None,
        test_split: bool = False,
        **options: Any,
    ) -> TranslationResult:
        """Compare the model's answers with the targets of `data`, by default of the run's own test split.

        A source that occurs with several targets is answered once; each target is a reference.

        Args:
            data: a path, a sample's name or Python objects; None: the run's own test split.
            source, target: the columns; default: as in training.
            header: whether the first row of a CSV or TSV file names the columns; default: as in training.
            separator: separator of the columns of a CSV or TSV file; default: as in training.
            on_bad_row: "stop" or "skip"; default: as in training.
            truncate: whether sources and targets beyond the maximum length are truncated; default: as in training.
            test_split: whether `data` are those of the training, of which the test split is used.
            options: listed below.

        Raises:
            DataError: a bad row, a pair that the model cannot take, or (with None) training data that are missing or
                have changed.
            ConfigError: columns are named without data; an option is unknown, out of range or without effect.
        """
        columns = {"source": source, "target": target, "header": header, "separator": separator}
        settings = {**columns, "on_bad_row": on_bad_row, "truncate": truncate}
        result: TranslationResult = self.evaluated(data, test_split, settings | options)
        return result

    def held_out(self, data: object, test_split: bool, options: Mapping[str, Any]) -> dict[str, Any]:
        """Read and encode the pairs of an evaluation; return the keyword arguments of `result` and `scores`."""
        names = "source", "target", "header", "separator", "on_bad_row", "truncate"
        settings, chosen = separate(self, options, *names)
        sequences: PairSequences

        def encoded(pairs: PairedTexts, config: DataConfig) -> PairedTexts:
            nonlocal sequences
            pairs, sequences = self._encode(pairs, config)
            return pairs

        def load(data: object, config: DataConfig) -> PairedTexts:
            pairs = load_pairs(data, config)
            log_read(pairs)
            return encoded(pairs, config)

        def load_test(source: object) -> PairedTexts:
            return encoded(split_pairs(source, self.config.data).test, self.config.data)

        pairs = read_held_out(self, data, test_split, settings, load=load, load_test=load_test)
        return {"pairs": pairs, "sequences": sequences, "strategy": strategy_of(chosen)}

    def result(
        self, pairs: PairedTexts, sequences: PairSequences, strategy: Beam | Sampling = GREEDY
    ) -> TranslationResult:
        """Evaluate on pairs that are already read and encoded."""
        distinct = self._distinct(pairs, sequences)
        answers = self._translated(distinct, strategy)
        scored = score_targets(self.model, sequences)
        refuse_infinite(scored.nats)
        return evaluate_translation(
            [answer.text for answer in answers],
            distinct.references,
            distinct.sequences.lengths.numpy(),
            nats=np.bincount(distinct.indices, scored.nats),
            tokens=np.bincount(distinct.indices, scored.tokens).astype(np.int64),
            truncated=sum(answer.targets[0].ended == "length" for answer in answers),
        )

    def answers(
        self, pairs: PairedTexts, sequences: PairSequences, strategy: Beam | Sampling = GREEDY
    ) -> NDArray[np.object_]:
        """Return the answer to each different source, (N,), in order of first occurrence."""
        answers = self._translated(self._distinct(pairs, sequences), strategy)
        return np.array([answer.text for answer in answers], dtype=object)

    def scores(self, pairs: PairedTexts, sequences: PairSequences, strategy: Beam | Sampling = GREEDY) -> ByExample:
        """Return the chrF of the answer to each different source, in order of first occurrence."""
        distinct = self._distinct(pairs, sequences)
        answers = [answer.text for answer in self._translated(distinct, strategy)]
        return score_translations(answers, distinct.references, distinct.sequences.lengths.numpy(), distinct.sources)

    def _distinct(self, pairs: PairedTexts, sequences: PairSequences) -> DistinctSources:
        return distinct_sources(pairs, sequences, self.config.data.normalize)

    def _translated(self, distinct: DistinctSources, strategy: Beam | Sampling) -> list[Translation]:
        """Return the translation of each source, no longer than the longest target of training."""
        target, longest = self.tokenizers.target, self.default_length()
        return translate(self.model, target, distinct.sources, distinct.sequences, strategy, max_length=longest)

    def card(self) -> dict[str, str]:
        """Return the fields of its model card that depend on the task."""
        splits, config = self.record["data"]["splits"].items(), self.config.data
        kinds = f"{config.source_tokenizer or config.tokenizer} by {config.source_tokenizer or config.tokenizer}"
        return {
            "pipeline": "translation",
            "answers": f"It reads a source {kinds} and writes a target {config.tokenizer} by {config.tokenizer}.",
            "command": f"unrolled decode THIS_FOLDER {self.EXAMPLE_INPUT}",
            "data": ", ".join(f"{split} {values['rows']:,}" for split, values in splits)
            + " pairs. Translations come from that data and are no better than it.",
            "result": _result(self.record["result"]) if self.record["result"] else "",
        }

    def _encode(self, pairs: PairedTexts, settings: DataConfig) -> tuple[PairedTexts, PairSequences]:
        usable, sequences = encode(pairs, self.tokenizers, settings)
        if usable is not pairs:
            log_read(usable)
        refuse_longer(self.model, usable, sequences)
        return usable, sequences

    def _sources(self, texts: Iterable[object], truncate: bool | None) -> list[_Source]:
        """Return texts as sources that the model can take; log the number of those truncated."""
        settings = reading(self, truncate=truncate)
        sources = [self._checked(text, number, settings) for number, text in enumerate(texts)]
        if truncated := sum(bool(source.truncated) for source in sources):
            many = f"{truncated:,} source{'s'[: truncated != 1]}"
            log.info("truncated at %s tokens, being longer: %s", f"{settings.max_length:,}", many)
        return sources

    def _checked(self, text: object, number: int, settings: DataConfig) -> _Source:
        """Return a text as a source that the model can take, or raise DataError."""
        fix = "give strings with at least one character that is not white space"
        if not isinstance(text, str):
            raise DataError(f"source {number} is a {type(text).__name__}, not a string", fix=fix)
        if not text.strip():
            raise DataError(f"source {number} is empty", fix=fix)
        if has_surrogate(text):
            raise DataError(
                f"source {number} {NOT_UNICODE}", fix="remove the unpaired surrogate, or decode the text as UTF-8"
            )
        source = self._source(text, settings)
        if source.fault:
            raise DataError(source.fault.problem, line=number, unit="source", row=text, fix=source.fault.fix)
        return source

    def _source(self, text: str, settings: DataConfig) -> _Source:
        (ids,) = self.tokenizers.source.encode([text])
        longest = min(settings.max_length, self.model.max_source_length or settings.max_length)
        first = ids[:longest] if settings.truncate else ids
        truncated = truncation(len(ids), len(first), "tokens of the source")
        return _Source(first, truncated, fault("source", first, longest))

    def _refuse_unknown(self, text: str, name: str) -> None:
        """Refuse the text of a target with tokens that the run does not know.

        Args:
            name: name of the text, for messages.
        """
        if has_surrogate(text):
            raise DataError(
                f"the {name} {NOT_UNICODE}", row=text, fix="remove the unpaired surrogate, or decode the text as UTF-8"
            )
        if unknown := self.tokenizers.target.unknown(text):
            token = excerpt(unknown[0][1], 20)
            raise DataError(f'the {name} contains a token that the run does not know: "{token}"', row=text)

    def default_length(self) -> int:
        """Return the length in tokens of the longest target of training, <eos> included."""
        return 1 + int(self.record["data"]["longest_target"])


class _Source(NamedTuple):
    """A source as the model takes it."""

    ids: list[int]
    truncated: str  # a note if it was truncated, else ""
    fault: Fault | None  # the reason why the model cannot take it


def refuse_longer(model: Model, pairs: PairedTexts, sequences: PairSequences) -> None:
    """Refuse pairs that do not fit into the model's context window.

    Raises:
        DataError: names the first such pair.
    """
    S, T = sequences.lengths.unbind(1)
    for row in (model.remaining_length(S) < T).nonzero().flatten().tolist():
        raise pairs.error(
            row,
            "target",
            f"a source of {int(S[row]):,} tokens and a target of {int(T[row]):,}, <bos> included, do not fit into the "
            "model's context window",
            "give shorter ones, truncate them with --max-length and --truncate, or train with a larger --window",
        )


def _result(result: dict[str, Any]) -> str:
    low, high = result["exact_match_interval"]
    return (
        f"On {result['n']:,} held-out sources, taking the most probable token each time: {result['exact_match']:.1%} "
        f"answered as a reference (95 % interval {low:.1%} to {high:.1%}), word edits {result['word_edit_rate']:.1%}, "
        f"BLEU {result['bleu']:.1f}, chrF {result['chrf']:.1f}; {result['loss_nats']:.3f} nats a token."
    )
