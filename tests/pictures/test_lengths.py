from types import SimpleNamespace

import pytest

import drawn
from unrolled.errors import ConfigError
from unrolled.pictures import score_by_length


def result(figure, values):
    bins = [
        SimpleNamespace(
            n=40, shortest=5 * i, longest=5 * i + 4, **{figure: v, f"{figure}_interval": (v - 0.1, v + 0.05)}
        )
        for i, v in enumerate(values)
    ]
    return SimpleNamespace(by_length=tuple(bins))


def test_a_curve_a_run_on_the_same_axes():
    svg = score_by_length({"one": result("accuracy", [0.9, 0.5]), "two": result("accuracy", [0.8, 0.7, 0.6])})
    words = [text.content for text in drawn.texts(svg)]
    assert {"one", "two", "accuracy, 0 to 1", "length in tokens"} <= set(words)
    assert {"one at 2.0 tokens = 0.90", "two at 12.0 tokens = 0.60"} <= set(drawn.titles(svg))


def test_what_cannot_be_drawn_is_refused():
    with pytest.raises(ConfigError, match="got no result"):
        score_by_length({})
    with pytest.raises(ConfigError, match="two has none"):
        score_by_length({"one": result("accuracy", [1]), "two": SimpleNamespace()})
    with pytest.raises(ConfigError, match='not all results have "bleu" by length'):
        score_by_length({"one": result("accuracy", [1])}, "bleu")
