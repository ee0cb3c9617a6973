"""How good translations are, beside one or more references: what `unrolled evaluate` shows for the task translate.

Texts in, numbers out: no model here. Over N sources, with the distance of an answer to the nearest of its references
in insertions, deletions and substitutions (Levenshtein 1966):

    exact_match          = Σ [the answer is one of its references] / N
    word_edit_rate       = Σ edits / Σ words of the reference nearest by words
    character_edit_rate  = Σ edits / Σ characters of the reference nearest by characters
    bleu, chrf           = sacrebleu's, from 0 to 100, over all N at once; the signature says how they were counted
    loss_nats            = Σ −ln p(token of the reference | source, all before it) / tokens
    perplexity           = exp(loss_nats)

Words are what stands between spaces. Where a target is written in phonemes, word_edit_rate is what the literature calls
the phoneme error rate, and 1 − exact_match its word error rate.

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

from unrolled.errors import DataError, ShapeError
from unrolled.evaluation.classification import plain
from unrolled.evaluation.intervals import Interval, resample, spread, wilson
from unrolled.evaluation.lengths import by_length
from unrolled.evaluation.tables import table

__all__ = ["TranslationBin", "TranslationResult", "TranslationScores", "evaluate_translation", "nearest_edits"]

Floats = NDArray[np.float64]
FIGURES = ("exact_match", "word_edit_rate", "character_edit_rate", "bleu", "chrf")


@dataclass(frozen=True, kw_only=True)
class TranslationScores:
    """The figures of n answers. Shares are of 1, BLEU and chrF from 0 to 100, intervals cover 95 %."""

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


@dataclass(frozen=True, kw_only=True)
class TranslationBin(TranslationScores):
    """The figures of sources of `shortest` to `longest` tokens, both included."""

    shortest: int
    longest: int


@dataclass(frozen=True, kw_only=True)
class TranslationResult(TranslationScores):
    """Every figure of a translator on one test split.

    `references` counts them, `truncated` the answers that were ended by the longest length instead of by the model.
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
    """Measure a translator's answers.

    Args:
        answers: N texts.
        references: N lists of texts, one or more each, none empty: an answer is right if it equals any.
        lengths: (N,) integers, the tokens of each source.
        nats: (N,) floats, −Σ ln p of the tokens of each source's references, <eos> included.
        tokens: (N,) integers, how many these are.
        truncated: how many answers reached their longest length.

    Raises:
        ShapeError: an argument has the wrong shape or dtype; the message names it.
        DataError: there is no answer, or as many references as there should not be; an empty reference.
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
                **_scores(values[rows], metrics), shortest=int(lengths[rows[0]]), longest=int(lengths[rows[-1]])
            )
            for rows in by_length(lengths)
        ),
    )


def nearest_edits(answer: str, references: Sequence[str], units: Callable[[str], Sequence[str]]) -> tuple[int, int]:
    """Return the edits from an answer to the nearest of its references, and the units that this one has.

    units: what a text is made of, as `str.split` for words and `str` for characters. Of equally near references the
    longest counts.
    """
    found = []
    for reference in references:
        wanted = units(reference)
        found.append((Levenshtein.distance(units(answer), wanted), len(wanted)))
    return min(found, key=lambda edits: (edits[0], -edits[1]))


class _Metric:
    """A metric of sacrebleu's over N answers: what it counts in each of them, and the score of such counts.

    Its public methods would count every n-gram anew for each bin, and resample in their own way.
    """

    def __init__(self, metric: BLEU | CHRF, answers: Sequence[str], references: Sequence[Sequence[str]]) -> None:
        most = max(map(len, references))
        streams = [[some[k] if k < len(some) else None for some in references] for k in range(most)]
        self.metric = metric
        counts = metric._extract_corpus_statistics(answers, streams)  # type: ignore[arg-type]  # None: no such reference
        self.statistics = np.array(counts)  # (N, M)
        self.signature = str(metric.get_signature())

    def score(self, counts: Floats) -> float:
        """Counts (M,), summed over answers -> from 0 to 100."""
        score: float = self.metric._compute_score_from_stats(counts.astype(np.int64).tolist()).score
        return score


def _scores(values: Floats, metrics: Sequence[_Metric]) -> dict[str, Any]:
    """The figures of n answers and their intervals: values (n, M) are what is summed over answers."""
    resampled = resample(values)  # (R, M)
    total = values.sum(axis=0)[np.newaxis]  # (1, M)
    scores: dict[str, Any] = {"n": len(values)}
    for name, figure in zip(FIGURES, _figures(total, metrics), strict=True):
        scores[name] = float(figure[0])
    for name, figure in zip(FIGURES, _figures(resampled, metrics), strict=True):
        scores[f"{name}_interval"] = spread(figure)
    scores["exact_match_interval"] = wilson(int(total[0, 1]), len(values))  # which has a width where none is right
    return scores | {"loss_nats": float(total[0, 6] / total[0, 7])}


def _figures(sums: Floats, metrics: Sequence[_Metric]) -> Iterator[Floats]:
    """FIGURES, (R,) each, from R sums over answers: of 1, right, edits, words, edits, characters, nats, tokens, …"""
    n, right, edits, words, steps, characters = sums[:, :6].T
    yield right / n
    yield edits / words
    yield steps / characters
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
    """Refuse what cannot be measured; one sentence each."""
    N = len(answers)
    if N == 0:
        raise DataError("there is no answer to evaluate", fix="pass a test split with at least one pair")
    if len(references) != N:
        raise DataError(
            f"there are {N} answers and references for {len(references)}",
            fix="give a list of references for each answer",
        )
    for number, some in enumerate(references):
        if isinstance(some, str) or not len(some):
            raise DataError(f"references of answer {number} must be one or more texts in a list: got {some!r}")
        if not all(reference.strip() for reference in some):
            raise DataError(f"a reference of answer {number} is empty", fix="leave out pairs whose one side is empty")
    for name, values, kinds in (("lengths", lengths, "iu"), ("nats", nats, "f"), ("tokens", tokens, "iu")):
        if values.shape != (N,) or values.dtype.kind not in kinds:
            what = "floats" if kinds == "f" else "integers"
            raise ShapeError(f"{name} must be (N={N},) {what}, as answers: got {values.dtype} of shape {values.shape}")
    if tokens.min() < 1:
        raise DataError(f"tokens must be at least 1, for <eos>: got {tokens.min()}")


SHOWN = {
    "exact_match": ("exact match, %", 100),
    "word_edit_rate": ("word edits, %", 100),
    "character_edit_rate": ("character edits, %", 100),
    "bleu": ("BLEU", 1),
    "chrf": ("chrF", 1),
}
"""How the figures are called on a terminal, and multiplied."""


def _cells(scores: TranslationScores, figure: str) -> tuple[str, str]:
    """A figure and its interval."""
    _, times = SHOWN[figure]
    low, high = getattr(scores, f"{figure}_interval")
    return f"{times * getattr(scores, figure):.1f}", f"({times * low:.1f} to {times * high:.1f})"


def _summary(result: TranslationResult) -> Iterator[str]:
    yield f"{result.n:,} sources, {result.references:,} references"
    if result.truncated:
        yield f"{result.truncated:,} answers did not end: they were truncated at the longest length"
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
    for part in result.by_length:
        span = f"{part.shortest:,} to {part.longest:,}" if part.shortest < part.longest else f"{part.shortest:,}"
        rows.append([span, f"{part.n:,}", *(cell for figure in figures for cell in _cells(part, figure))])
    yield from table(rows)
