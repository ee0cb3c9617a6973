"""The picture of a beam search, and the record it is drawn from, compared with the search itself."""

import math

import pytest

import drawn
import small
from unrolled.data.encoding.tokenizers import EOS
from unrolled.decoding.candidates import tree
from unrolled.decoding.search import Beam, search
from unrolled.pictures import draw, sentences

SOURCE = "abcdef"


def paths(nodes, ids) -> set[tuple[tuple[int, ...], float]]:
    """The tokens of each answer of the tree, with its ln p: kept nodes that nothing continues."""
    parents, found = nodes["parent"].tolist(), set()
    for index, kept in enumerate(nodes["kept"].tolist()):
        if kept and index not in parents:
            tokens, at = [], index
            while at >= 0:
                tokens.insert(0, ids[at])
                at = parents[at]
            found.add((tuple(tokens), round(float(nodes["log_prob"][index]), 3)))
    return found


@pytest.mark.parametrize("longest", [30, 3])
def test_the_answers_of_the_tree_are_those_of_the_search(longest: int) -> None:
    run, record = small.translation_run("attention"), []
    ids = run.example((SOURCE, "FED")).source.ids
    beam = Beam(3, n_best=3)
    (answers,) = search(run.model, [[]], beam, state=run.model.encode(ids), max_length=longest, record=record)
    (plain,) = search(run.model, [[]], beam, state=run.model.encode(ids), max_length=longest)
    assert answers == plain, "recording changes nothing"
    nodes = tree(record)
    found = dict(paths(nodes, nodes["token"].tolist()))
    for answer in answers:
        tokens = (*answer.tokens, EOS) if answer.ended == "eos" else answer.tokens
        assert found[tokens] == pytest.approx(answer.log_probability, abs=2e-3)
    assert (nodes["parent"] < nodes["step"].new_tensor(range(len(nodes["step"])))).all()
    for step in range(int(nodes["step"].max())):
        assert (nodes["kept"] * (nodes["token"] != EOS))[nodes["step"] == step].sum() <= 3


def test_the_trace_of_a_source_alone_has_the_search() -> None:
    run = small.translation_run("attention")
    trace = run.explain(SOURCE, attribution=False)
    assert len(trace.about.beam) == len(trace["beam.step"])
    assert "beam.step" not in run.explain((SOURCE, "FED"), attribution=False)


@pytest.mark.parametrize("width", [760, 320])
def test_the_numbers_are_probabilities_of_the_trace(width: int) -> None:
    trace = small.translation_run("attention").explain(SOURCE, attribution=False)
    svg = draw("beam", [trace], width=width)
    titles = [title for title in drawn.titles(svg) if title.startswith("exp beam.log_prob[")]
    assert len(titles) >= 5
    for title in titles:
        index, shown = title.removeprefix("exp beam.log_prob[").split("] = ")
        expected = math.exp(float(trace["beam.log_prob"][int(index)]))
        assert float(shown.replace("−", "-")) == pytest.approx(expected, rel=0.06, abs=6e-4)
    assert drawn.size(svg)[0] <= width + 40
    assert "stroke-dasharray" in svg, "what is cut is dashed"


def test_its_sentence() -> None:
    assert sentences.beam(3, ["AH", "N"], math.log(0.17)) == (
        "Answers found: 3; the most probable one, AH N, has probability 0.17."
    )
