"""Metrics of translations compared with references, as `unrolled evaluate` prints them for the task translate.

They are functions of texts, not of a model. Over N sources, with edits the insertions, deletions and substitutions from
an answer to the nearest of its references (Levenshtein 1966):

    exact_match          = Σ [the answer is one of its references] / N
    word_edit_rate       = Σ edits / Σ words of the reference nearest by words
    character_edit_rate  = Σ edits / Σ characters of the reference nearest by characters
    bleu, chrf           = sacrebleu's, from 0 to 100, over all N at once; the signature gives the settings
    loss_nats            = Σ −ln p(token of the reference | source, all tokens before it) / tokens
    perplexity           = exp(loss_nats)

Words are separated by spaces. For targets in phonemes, word_edit_rate is the phoneme error rate of the literature, and
1 − exact_match its word error rate.

Papineni et al., "BLEU", 2002; Popović, "chrF", 2015; Post, "A call for clarity in reporting BLEU scores", 2018.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from rapidfuzz.distance import Levenshtein
from sacrebleu.metrics.bleu import BLEU
from sacrebleu.metrics.chrf import CHRF

from unrolled.display import Displayed
from unrolled.errors import DataError, ShapeError
from unrolled.evaluation.classification import plain
from unrolled.evaluation.intervals import Interval, resample, spread, wilson
from unrolled.evaluation.lengths import by_length
from unrolled.evaluation.tables import table

__all__ = ["TranslationBin", "TranslationResult", "TranslationScores", "bleu", "evaluate_translation", "nearest_edits"]

Floats = NDArray[np.float64]
FIGURES = ("exact_match", "word_edit_rate", "character_edit_rate", "bleu", "chrf")


@dataclass(frozen=True, kw_only=True, repr=False)
class TranslationScores(Displayed):
    """Metrics of n answers: fractions from 0 to 1, BLEU and chrF from 0 to 100; intervals cover 95 %."""

    n: int
    exact_match: float
    exact_match_interval: Interval
    word_edit_rate: float
    word_edit_rate_interval: Interval
    character_edit_rate: float
    character_edit_rate_interval: Interval
    bleu: float
    bleu_interval: Interval
    chrf: float
    chrf_interval: Interval
    loss_nats: float


@dataclass(frozen=True, kw_only=True, repr=False)
class TranslationBin(TranslationScores):
    """Metrics of the sources of `shortest` to `longest` tokens, both included."""

    shortest: int
    longest: int


@dataclass(frozen=True, kw_only=True, repr=False)
class TranslationResult(TranslationScores):
    """Metrics of a translator on one test split.

    `references` is the number of references, `truncated` the number of answers that reached the maximum length.
    """

    references: int
    truncated: int
    perplexity: float
    bleu_signature: str
    chrf_signature: str
    by_length: tuple[TranslationBin, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return every figure under its field's name, ready for JSON; an interval is a list of low and high."""
        figures: dict[str, Any] = plain(asdict(self))
        return figures

    def text(self) -> str:
        """Return the figures as plain text tables, at most 80 columns wide, for a terminal."""
        blocks = [_summary(self)]
        if len(self.by_length) > 1:
            blocks += [_by_length(self, FIGURES[:2]), _by_length(self, FIGURES[3:])]
        return "\n\n".join("\n".join(block) for block in blocks) + "\n"


def evaluate_translation(
    answers: Sequence[str],
    references: Sequence[Sequence[str]],
    lengths: ArrayLike,
    *,
    nats: ArrayLike,
    tokens: ArrayLike,
    truncated: int = 0,
) -> TranslationResult:
    """Return the metrics of a translator's answers.

    Args:
        answers: N texts.
        references: N lists of texts, one or more each, none empty; an answer is right if it equals any.
        lengths: (N,) integers, the number of tokens of each source.
        nats: (N,) floats, −Σ ln p of the tokens of each source's references, <eos> included.
        tokens: (N,) integers, the number of these tokens.
        truncated: number of answers that reached the maximum length.

    Raises:
        ShapeError: an argument has the wrong shape or dtype; the message names it.
        DataError: there is no answer, the number of references differs from N, or a reference is empty.
    """
    lengths, nats, tokens = np.asarray(lengths), np.asarray(nats, dtype=np.float64), np.asarray(tokens)
    _check(answers, references, lengths, nats, tokens)
    metrics = [_Metric(BLEU(force=True), answers, references), _Metric(CHRF(), answers, references)]
    edits = [
        nearest_edits(*pair, str.split) + nearest_edits(*pair, str) for pair in zip(answers, references, strict=True)
    ]
    right = [answer in some for answer, some in zip(answers, references, strict=True)]
    values = np.column_stack([np.ones(len(answers)), right, edits, nats, tokens, *(m.statistics for m in metrics)])
    whole = _scores(values, metrics)
    return TranslationResult(
        **whole,
        references=sum(map(len, references)),
        truncated=truncated,
        perplexity=math.exp(whole["loss_nats"]) if whole["loss_nats"] < 700 else math.inf,
        bleu_signature=metrics[0].signature,
        chrf_signature=metrics[1].signature,
        by_length=tuple(
            TranslationBin(
                **_scores(values[indices], metrics),
                shortest=int(lengths[indices[0]]),
                longest=int(lengths[indices[-1]]),
            )
            for indices in by_length(lengths)
        ),
    )


def bleu(answers: Sequence[str], references: Sequence[Sequence[str]]) -> float:
    """Return sacrebleu's BLEU of N answers, from 0 to 100; arguments as in `evaluate_translation`."""
    metric = _Metric(BLEU(force=True), answers, references)
    return metric.score(metric.statistics.sum(axis=0))


def nearest_edits(answer: str, references: Sequence[str], units: Callable[[str], Sequence[str]]) -> tuple[int, int]:
    """Return the edits from an answer to the nearest of its references, and the number of units of that reference.

    Of equally near references the longest counts.

    Args:
        answer: the answer.
        references: its references, at least one.
        units: function that splits a text into units: `str.split` into words, `str` into characters.
    """
    candidates = []
    for reference in references:
        expected = units(reference)
        candidates.append((Levenshtein.distance(units(answer), expected), len(expected)))
    return min(candidates, key=lambda edits: (edits[0], -edits[1]))


class _Metric:
    """Metric of sacrebleu over N answers: its counts for each answer, and the score of summed counts.

    sacrebleu's public methods would count every n-gram again for each bin, and resample differently.
    """

    def __init__(self, metric: BLEU | CHRF, answers: Sequence[str], references: Sequence[Sequence[str]]) -> None:
        most = max(map(len, references))
        streams = [[some[k] if k < len(some) else None for some in references] for k in range(most)]
        self.metric = metric
        counts = metric._extract_corpus_statistics(answers, streams)  # type: ignore[arg-type]  # None: no such reference
        self.statistics = np.array(counts)  # (N, M)
        self.signature = str(metric.get_signature())

    def score(self, counts: Floats) -> float:
        """Return the score, from 0 to 100, of counts (M,) summed over answers."""
        score: float = self.metric._compute_score_from_stats(counts.astype(np.int64).tolist()).score
        return score


def _scores(values: Floats, metrics: Sequence[_Metric]) -> dict[str, Any]:
    """Return the metrics of n answers with their intervals.

    Args:
        values: (n, M), the numbers to sum over answers.
    """
    resampled = resample(values)  # (R, M)
    total = values.sum(axis=0)[np.newaxis]  # (1, M)
    scores: dict[str, Any] = {"n": len(values)}
    for name, figure in zip(FIGURES, _figures(total, metrics), strict=True):
        scores[name] = float(figure[0])
    for name, figure in zip(FIGURES, _figures(resampled, metrics), strict=True):
        scores[f"{name}_interval"] = spread(figure)
    scores["exact_match_interval"] = wilson(int(total[0, 1]), len(values))  # has a width where none is right
    return scores | {"loss_nats": float(total[0, 6] / total[0, 7])}


def _figures(sums: Floats, metrics: Sequence[_Metric]) -> Iterator[Floats]:
    """Yield the metrics of FIGURES, (R,) each, from R sums over answers.

    The columns of `sums` are: 1, right, word edits, words, character edits, characters, nats, tokens, and the counts of
    each metric.
    """
    n, right, word_edits, words, character_edits, characters = sums[:, :6].T
    yield right / n
    yield word_edits / words
    yield character_edits / characters
    start = 8
    for metric in metrics:
        end = start + metric.statistics.shape[1]
        yield np.array([metric.score(counts) for counts in sums[:, start:end]])
        start = end


def _check(
    answers: Sequence[str],
    references: Sequence[Sequence[str]],
    lengths: NDArray[Any],
    nats: NDArray[Any],
    tokens: NDArray[Any],
) -> None:
    """Raise ShapeError or DataError where an argument of `evaluate_translation` is invalid."""
    N = len(answers)
    if N == 0:
        raise DataError("there is no answer to evaluate", fix="pass a test split with at least one pair")
    if len(references) != N:
        raise DataError(
            f"there are {N} answers and references for {len(references)}",
            fix="pass a list of references for each answer",
        )
    for number, some in enumerate(references):
        if isinstance(some, str) or not len(some):
            raise DataError(f"references of answer {number} must be one or more texts in a list: got {some!r}")
        if not all(reference.strip() for reference in some):
            raise DataError(f"a reference of answer {number} is empty", fix="leave out pairs whose one side is empty")
    for name, values, kinds in (("lengths", lengths, "iu"), ("nats", nats, "f"), ("tokens", tokens, "iu")):
        if values.shape != (N,) or values.dtype.kind not in kinds:
            dtype = "floats" if kinds == "f" else "integers"
            raise ShapeError(f"{name} must be (N={N},) {dtype}, as answers: got {values.dtype} of shape {values.shape}")
    if tokens.min() < 1:
        raise DataError(f"tokens must be at least 1, for <eos>: got {tokens.min()}")


SHOWN = {
    "exact_match": ("exact match, %", 100),
    "word_edit_rate": ("word edits, %", 100),
    "character_edit_rate": ("character edits, %", 100),
    "bleu": ("BLEU", 1),
    "chrf": ("chrF", 1),
}
"""Name of each metric in a terminal, and the factor that it is multiplied by."""


def _cells(scores: TranslationScores, figure: str) -> tuple[str, str]:
    """Return a metric and its interval as text."""
    _, factor = SHOWN[figure]
    low, high = getattr(scores, f"{figure}_interval")
    return f"{factor * getattr(scores, figure):.1f}", f"({factor * low:.1f} to {factor * high:.1f})"


def _summary(result: TranslationResult) -> Iterator[str]:
    yield f"{result.n:,} sources, {result.references:,} references"
    if result.truncated:
        yield f"{result.truncated:,} answers did not end: they were truncated at the maximum length"
    yield ""
    for figure in FIGURES:
        value, interval = _cells(result, figure)
        yield f"{SHOWN[figure][0]:<18} {value:>7}  {interval}"
    yield f"{'loss':<18} {result.loss_nats:>7.3f}  nats a token"
    yield f"{'perplexity':<18} {result.perplexity:>7.2f}"
    yield "In brackets: 95 % intervals, bootstrap over the sources (exact match: Wilson)"
    yield f"BLEU: {result.bleu_signature}"
    yield f"chrF: {result.chrf_signature}"


def _by_length(result: TranslationResult, figures: Sequence[str]) -> Iterator[str]:
    names = [SHOWN[figure][0] for figure in figures]
    yield "By length of the source, with 95 % intervals"
    rows = [["tokens", "sources", *(cell for name in names for cell in (name, ""))]]
    for each in result.by_length:
        span = f"{each.shortest:,} to {each.longest:,}" if each.shortest < each.longest else f"{each.shortest:,}"
        rows.append([span, f"{each.n:,}", *(cell for figure in figures for cell in _cells(each, figure))])
    yield from table(rows)
