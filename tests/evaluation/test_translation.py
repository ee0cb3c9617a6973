"""Figures of a translator, against their formulas and against sacrebleu and rapidfuzz called directly."""

import json
import math
import random
from typing import Any

import numpy as np
import pytest
import sacrebleu
from rapidfuzz.distance import Levenshtein

from unrolled.errors import DataError, ShapeError
from unrolled.evaluation import TranslationResult, evaluate_translation, wilson
from unrolled.evaluation.tables import WIDTH, width
from unrolled.evaluation.translation import nearest_edits

WORDS = ("the", "cat", "sat", "on", "a", "mat", "and", "dog", ",", "Dog.")


def corpus(n: int = 300, seed: int = 0) -> tuple[list[str], list[list[str]], list[int]]:
    """Answers with errors, the more the longer, one to three references each, and the sources' lengths."""
    draw = random.Random(seed)
    answers, references, lengths = [], [], []
    for _ in range(n):
        words = draw.choices(WORDS, k=draw.randint(1, 20))
        said = [draw.choice(WORDS) if draw.random() < len(words) / 60 else word for word in words]
        others = [" ".join(draw.choices(WORDS, k=draw.randint(1, 20))) for _ in range(draw.randint(0, 2))]
        answers.append(" ".join(said))
        references.append([*others, " ".join(words)])
        lengths.append(len(words) + draw.randint(0, 2))
    return answers, references, lengths


def evaluate(
    answers: list[str], references: list[list[str]], lengths: list[int] | None = None, **changed: Any
) -> TranslationResult:
    lengths = [1] * len(answers) if lengths is None else lengths
    arguments = {"nats": np.array(lengths) * 0.5, "tokens": np.array(lengths)} | changed
    return evaluate_translation(answers, references, lengths, **arguments)


def distance(a: list[str] | str, b: list[str] | str) -> int:
    """Edits by the recurrence of Wagner and Fischer."""
    before = list(range(len(b) + 1))
    for i, x in enumerate(a, start=1):
        row = [i]
        for j, y in enumerate(b, start=1):
            row.append(min(before[j] + 1, row[-1] + 1, before[j - 1] + (x != y)))
        before = row
    return before[-1]


def test_figures_that_can_be_counted_by_hand() -> None:
    answers = ["K AO R S", "AH M", "F R IY", ""]
    references = [["K AO R S"], ["EH M", "AH M Z Z"], ["T R IY S", "F R AY"], ["IY"]]
    result = evaluate(answers, references, nats=[1.0, 2.0, 3.0, 0.0], tokens=[2, 1, 1, 1])
    assert (result.n, result.references, result.truncated) == (4, 6, 0)
    assert result.exact_match == 1 / 4
    assert result.word_edit_rate == pytest.approx((0 + 1 + 1 + 1) / (4 + 2 + 3 + 1))
    assert result.character_edit_rate == pytest.approx((0 + 1 + 1 + 2) / (8 + 4 + 6 + 2))
    assert result.loss_nats == pytest.approx(6 / 5)
    assert result.perplexity == pytest.approx(math.exp(6 / 5))
    assert evaluate(answers, references, nats=[9e9, 0, 0, 0.0]).perplexity == math.inf


def test_an_answer_is_measured_by_the_nearest_of_its_references() -> None:
    assert nearest_edits("a b c", ["x y z", "a b d e", "a b x"], str.split) == (1, 3)
    assert nearest_edits("a b c", ["a b", "a b c d"], str.split) == (1, 4), "of equally near ones the longest"
    assert nearest_edits("", ["ab", "xyz"], str) == (2, 2)
    draw = random.Random(1)
    for _ in range(200):
        texts = ["".join(draw.choices("ab c", k=draw.randint(1, 9))) + "x" for _ in range(4)]
        for units in (str, str.split):
            edits, length = nearest_edits(texts[0], texts[1:], units)
            assert edits == min(distance(units(texts[0]), units(other)) for other in texts[1:])
            assert length in {len(units(other)) for other in texts[1:]}


def test_rates_are_those_of_rapidfuzz() -> None:
    answers, references, lengths = corpus()
    first = [[some[-1]] for some in references]
    result = evaluate(answers, first, lengths)
    pairs = [(answer, reference) for answer, (reference,) in zip(answers, first, strict=True)]
    words = [Levenshtein.distance(a.split(), b.split()) for a, b in pairs]
    assert result.word_edit_rate == pytest.approx(sum(words) / sum(len(b.split()) for _, b in pairs))
    steps = [Levenshtein.distance(a, b) for a, b in pairs]
    assert result.character_edit_rate == pytest.approx(sum(steps) / sum(len(b) for _, b in pairs))
    assert result.exact_match == pytest.approx(sum(a == b for a, b in pairs) / len(pairs))


def test_bleu_and_chrf_are_those_of_sacrebleu() -> None:
    answers, references, lengths = corpus()
    result = evaluate(answers, references, lengths)
    places = range(len(answers))
    for part, rows in [(result, places)] + [
        (part, [i for i in places if part.shortest <= lengths[i] <= part.longest]) for part in result.by_length
    ]:
        some = [references[i] for i in rows]
        streams = [[texts[k] if k < len(texts) else None for texts in some] for k in range(max(map(len, some)))]
        said = [answers[i] for i in rows]
        assert part.n == len(said)
        assert part.bleu == pytest.approx(sacrebleu.corpus_bleu(said, streams).score, rel=1e-9)
        assert part.chrf == pytest.approx(sacrebleu.corpus_chrf(said, streams).score, rel=1e-9)
    bleu = sacrebleu.BLEU()
    bleu.corpus_score(answers, streams)
    assert result.bleu_signature.startswith("nrefs:var|case:mixed|eff:no|tok:13a|smooth:exp|version:")
    assert result.chrf_signature.startswith("nrefs:var|case:mixed|eff:yes|nc:6|nw:0|space:no|version:")
    assert "nrefs:1|" in evaluate(answers, [some[:1] for some in references], lengths).bleu_signature


def test_intervals_hold_the_figures_and_narrow_with_more_answers() -> None:
    small, large = evaluate(*corpus(200)), evaluate(*corpus(3200))
    for name in ("exact_match", "word_edit_rate", "character_edit_rate", "bleu", "chrf"):
        widths = []
        for result in (small, large):
            low, high = getattr(result, f"{name}_interval")
            assert low < getattr(result, name) < high
            widths.append(high - low)
        assert 3 < widths[0] / widths[1] < 5.5, "16 times the answers, a quarter of the width"
    assert large.exact_match_interval == wilson(round(large.exact_match * 3200), 3200)
    assert evaluate(["a"] * 9, [["b"]] * 9).exact_match_interval.high > 0.2, "nine wrong answers do not make it certain"


def test_longer_sources_stand_apart() -> None:
    result = evaluate(*corpus(1000))
    assert len(result.by_length) == 5
    assert sum(part.n for part in result.by_length) == 1000
    assert result.by_length[0].word_edit_rate < result.word_edit_rate < result.by_length[-1].word_edit_rate
    assert result.by_length[0].shortest == 1


def test_it_goes_into_json_and_onto_a_terminal() -> None:
    result = evaluate(*corpus(), truncated=3)
    figures = json.loads(json.dumps(result.to_dict(), allow_nan=False))
    assert figures["bleu_interval"] == list(result.bleu_interval)
    assert figures["by_length"][0]["chrf_interval"] == list(result.by_length[0].chrf_interval)
    text = result.text()
    assert max(map(width, text.split("\n"))) <= WIDTH
    assert "300 sources" in text
    assert "3 answers did not end" in text
    assert f"{result.bleu:.1f}" in text
    assert result.bleu_signature in text
    assert text.count("By length of the source") == 2
    short = evaluate(["a"], [["a"]]).text()
    assert "By length" not in short
    assert "did not end" not in short


@pytest.mark.parametrize(
    ("changed", "error", "message"),
    [
        ({"answers": [], "references": []}, DataError, "there is no answer to evaluate"),
        ({"references": [["a"]]}, DataError, "there are 2 answers and references for 1"),
        ({"references": [["a"], []]}, DataError, "references of answer 1 must be one or more texts in a list: got []"),
        ({"references": [["a"], "b"]}, DataError, "references of answer 1 must be one or more texts in a list: got"),
        ({"references": [["a"], ["b", " "]]}, DataError, "a reference of answer 1 is empty"),
        ({"lengths": [1]}, ShapeError, "lengths must be (N=2,) integers, as answers: got int64 of shape (1,)"),
        ({"tokens": [1.0, 2.0]}, ShapeError, "tokens must be (N=2,) integers, as answers: got float64"),
        ({"nats": [[1.0, 2.0]]}, ShapeError, "nats must be (N=2,) floats"),
        ({"tokens": [0, 1]}, DataError, "tokens must be at least 1, for <eos>: got 0"),
    ],
)
def test_what_cannot_be_measured_is_refused(changed: dict[str, Any], error: type[Exception], message: str) -> None:
    arguments: dict[str, Any] = {"answers": ["a", "b"], "references": [["a"], ["b"]], "lengths": [1, 1]}
    arguments |= {"nats": [1.0, 1.0], "tokens": [2, 2]} | changed
    with pytest.raises(error) as refused:
        evaluate_translation(**arguments)
    assert str(refused.value).startswith(message)
