"""Path lengths, compared with the shortest paths through a list of all edges of the network."""

from collections.abc import Iterator
from typing import Any

import pytest
import torch

import small
from unrolled.inside.observe import observe
from unrolled.inside.paths import path_length
from unrolled.inside.trace import Header

Node = tuple[str, int, int]  # which stack, layer, step


def shortest(edges: Iterator[tuple[Node, Node]], begins: list[Node], ends: list[Node]) -> torch.Tensor:
    """Edges of length 1 -> the lengths from each of `begins` to each of `ends`, (ends, begins); 0: no way."""
    after: dict[Node, list[Node]] = {}
    for a, b in edges:
        after.setdefault(a, []).append(b)
    found = torch.zeros(len(ends), len(begins))
    for s, begin in enumerate(begins):
        reached, front, length = {begin}, [begin], 0
        while front:
            length += 1
            front = [b for b in {b for a in front for b in after.get(a, [])} if b not in reached]
            reached.update(front)
            for a, end in enumerate(ends):
                if end in front:
                    found[a, s] = length
    return found


def stack(name: str, L: int, T: int, *, both: bool = False, reverse: bool = False) -> Iterator[tuple[Node, Node]]:
    """A recurrent stack: layer 0 is its input."""
    for layer in range(1, L + 1):
        for t in range(T):
            yield (name, layer - 1, t), (name, layer, t)
            if t and (both or not reverse):
                yield (name, layer, t - 1), (name, layer, t)
            if t and (both or reverse):
                yield (name, layer, t), (name, layer, t - 1)


def lengths(run: Any, text: Any) -> tuple[dict[str, torch.Tensor], int, int, int]:
    _, example = observe(run.model, run.example(text), Header())
    S = 0 if example.source is None else example.source.ids.shape[1]
    return path_length(run.model, example), run.config.model.num_layers, example.inputs.shape[1], S


def test_a_recurrent_stack() -> None:
    found, L, T, _ = lengths(small.text_run("gru", num_layers=2), "the film")
    expected = shortest(stack("x", L, T), [("x", 0, t) for t in range(T)], [("x", L, t) for t in range(T)])
    assert torch.equal(found["path_length"], expected)


def test_a_label_from_both_ends() -> None:
    found, L, T, _ = lengths(small.trained("lstm", num_layers=2, bidirectional=True), "the film is warm")
    ends = [("x", L, 0), ("x", L, T - 1)]
    from_each = shortest(stack("x", L, T, both=True), [("x", 0, t) for t in range(T)], ends)
    forward = shortest(stack("x", L, T), [("x", 0, t) for t in range(T)], ends)[1]
    assert torch.equal(found["path_length"][0], torch.minimum(forward, forward.flip(0)))
    assert (found["path_length"][0] >= from_each.amin(dim=0)).all()


@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("score", [None, "additive", "general"])
def test_from_a_source(score: str | None, bidirectional: bool) -> None:
    name = "encoder_decoder" if score is None else "attention"
    own = {} if score is None else {"score": score}
    found, L, T, S = lengths(
        small.translation_run(name, bidirectional=bidirectional, num_layers=3, **own), ("abcde", "EDCB")
    )
    top = "y" if score == "general" else "d"

    def edges() -> Iterator[tuple[Node, Node]]:
        yield from stack("e", L, S)
        if bidirectional:
            yield from stack("r", L, S, reverse=True)
        yield from stack("d", L, T)
        for layer in range(1, L + 1):
            for name, last in (("e", S - 1), ("r", 0)):
                yield (name, layer, last), ("b", layer, 0)  # the bridge
            yield ("b", layer, 0), ("d", layer, 0)
        for t in range(T):
            yield ("d", L, t), ("y", 0, t)
            for s in range(S):
                for name in "er":
                    if score == "additive":  # the context enters the lowest layer with the token
                        yield (name, L, s), ("d", 1, t)
                    if score == "general":
                        yield (name, L, s), ("y", 0, t)

    begins = [("e", 0, s) for s in range(S)]
    ends = [("d", L, t) if top == "d" else ("y", 0, t) for t in range(T)]
    expected = shortest(edges(), begins, ends)
    if bidirectional:
        backward = shortest(edges(), [("r", 0, s) for s in range(S)], ends)
        expected = torch.minimum(expected, backward)
    assert torch.equal(found["source.path_length"], expected)
    assert torch.equal(found["path_length"], shortest(edges(), [("d", 0, t) for t in range(T)], ends))


def test_attention_and_windows_take_a_layer_each() -> None:
    found, L, T, S = lengths(small.translation_run("transformer", num_layers=2), ("abcd", "DC"))
    assert torch.equal(found["path_length"], torch.full((T, T), L).tril().float())
    assert torch.equal(found["source.path_length"], torch.full((T, S), L + 1.0))
    found, L, *_ = lengths(small.translation_run("gpt", num_layers=2), ("abcd", "DC"))
    assert (found["source.path_length"] == L).all()
    found, L, *_ = lengths(small.text_run("feedforward"), "abcdefgh"[:4].replace("b", "f").replace("d", "c"))
    assert found["path_length"][-1].tolist()[:-3] == [0.0] * (found["path_length"].shape[1] - 3)
    found, L, T, _ = lengths(small.trained("feedforward", num_layers=2), "the film is")
    assert found["path_length"].tolist() == [[L] * T]
