"""Synthetic tasks: their answers, the score at chance, and the expected differences between models."""

import pytest
import torch
from torch.nn import functional as F

from unrolled.api import build
from unrolled.config import ModelConfig
from unrolled.data.encoding.tokenizers import SEP
from unrolled.data.synthetic import FIRST, TASKS, Synthetic, make
from unrolled.errors import ConfigError
from unrolled.models import Ids, Model


@pytest.mark.parametrize("name", TASKS)
def test_a_batch_is_a_pure_function_of_seed_and_index(name: str) -> None:
    task = make(name, 6, seed=3)
    first = task.batch(7, 4)
    task.batch(8, 4)
    assert all(torch.equal(a, b) for a, b in zip(first, make(name, 6, seed=3).batch(7, 4), strict=True))
    assert not torch.equal(first.inputs, task.batch(8, 4).inputs)
    assert not torch.equal(first.inputs, make(name, 6, seed=4).batch(7, 4).inputs)
    if not task.features:
        assert FIRST > first.inputs.min() >= SEP or first.inputs.min() >= FIRST
        assert first.inputs.max() < task.vocabulary_size
        assert first.targets.max() < task.num_outputs


def test_what_is_answers() -> None:
    inputs, targets = make("recall", 3, symbols=4).batch(0, 50)
    assert inputs.shape == (50, 4 + 3)
    assert torch.equal(inputs[:, 0] - FIRST, targets)
    assert torch.equal(inputs[:, :4].sort(1).values, (FIRST + torch.arange(4)).expand(50, 4)), "all symbols each time"
    assert (inputs[:, 4:] == FIRST + 4).all()
    inputs, targets = make("parity", 9).batch(0, 50)
    assert torch.equal((inputs - FIRST).sum(1) % 2, targets)
    for name in ("copy", "reverse"):
        inputs, targets = make(name, 5, symbols=3).batch(0, 50)
        symbols = inputs[:, :5] - FIRST
        assert inputs.shape == targets.shape == (50, 11)
        assert (inputs[:, 5] == SEP).all()
        assert (targets[:, :6] == -1).all()
        assert torch.equal(targets[:, 6:], symbols if name == "copy" else symbols.flip(1))
    inputs, targets = make("adding", 5).batch(0, 50)
    assert (inputs[:, :, 1].sum(1) == 2).all()
    torch.testing.assert_close(targets, (inputs[:, :, 0] * inputs[:, :, 1]).sum(1))


def majority(ids: list[int]) -> int:
    key, *bits = ids
    more = bits.count(0) < bits.count(1)
    return int(more if key == 2 else not more)


def order(ids: list[int]) -> int:
    """With 4 distractors: X is 4 and Y is 5; one of them in each half."""
    first, second = (each for each in ids if each >= 4)
    assert min(k for k, each in enumerate(ids) if each >= 4) < len(ids) // 2
    return ["44", "45", "54", "55"].index(f"{first}{second}")


def open_bracket(ids: list[int]) -> int:
    """With 4 kinds, 0 to 3 open and 4 to 7 close: every closing bracket fits the innermost open one."""
    stack: list[int] = []
    for each in ids:
        if each < 4:
            stack.append(each)
        else:
            assert stack.pop() == each - 4
    return stack[-1]


def looked_up(ids: list[int]) -> int:
    *pairs, query = ids
    table = dict(zip(pairs[::2], pairs[1::2], strict=True))
    assert len(table) == 9, "each key once"
    return table[query]


def recalled(ids: list[int], T: int = 9, K: int = 4) -> list[int]:
    """Each key once, then each again, among blanks."""
    pairs, asked = ids[: 2 * T], ids[2 * T :]
    table = dict(zip(pairs[::2], pairs[1::2], strict=True))
    assert len(table) == T
    assert all(0 <= value < K < key for key, value in table.items())
    assert sorted(each for each in asked if each != K) == sorted(table)
    return [-1] * (2 * T) + [table.get(each, -1) for each in asked]


def multiplied(name: str) -> list[list[int]]:
    """The multiplication table of a group, from its words: after p, q permutes the letters of p by their places."""
    words = list(make(name, 1).words)
    places = {letter: k for k, letter in enumerate("abcde")}
    return [[words.index("".join(p[places[letter]] for letter in q)) for q in words] for p in words]


@pytest.mark.parametrize(("name", "order"), [("s3", 6), ("a5", 60)])
def test_a_word_of_a_group_has_its_product_at_each_step(name: str, order: int) -> None:
    table = multiplied(name)
    assert len(table) == order
    assert all(sorted(row) == list(range(order)) for row in table), "each product once: a group"
    assert table != [list(column) for column in zip(*table, strict=True)], "and not a commutative one"
    inputs, targets = make(name, 12).batch(0, 60)
    for ids, products in zip((inputs - FIRST).tolist(), targets.tolist(), strict=True):
        at = 0
        for element, product in zip(ids, products, strict=True):
            at = table[at][element]
            assert at == product


def test_a_recall_of_many_keys_answers_at_each() -> None:
    for gap, steps in ((None, 36), (0, 27), (30, 57)):
        inputs, targets = make("mqar", 9, symbols=4, gap=gap).batch(0, 50)
        assert inputs.shape == targets.shape == (50, steps)
        for ids, answers in zip((inputs - FIRST).tolist(), targets.tolist(), strict=True):
            assert recalled(ids) == answers
    with pytest.raises(ConfigError, match="length must be at most 256: got 257"):
        make("mqar", 257)


def induced(ids: list[int]) -> int:
    """With 4 symbols, X is 4: twice, the second at the end."""
    first = ids.index(4)
    assert ids[-1] == 4
    assert ids.count(4) == 2
    return ids[first + 1]


RULES = {
    "keyed_majority": majority,
    "temporal_order": order,
    "agreement": lambda ids: ids[0] % 2,
    "dyck": open_bracket,
    "associative_recall": looked_up,
    "induction": induced,
}


@pytest.mark.parametrize("name", RULES)
def test_the_answer_follows_from_the_rule(name: str) -> None:
    inputs, targets = make(name, 9, symbols=4).batch(0, 200)
    for ids, target in zip((inputs - FIRST).tolist(), targets.tolist(), strict=True):
        assert RULES[name](ids) == target
    assert len(set(targets.tolist())) == make(name, 9, symbols=4).num_outputs, "every answer occurs"


@pytest.mark.parametrize("gap", [0, 3])
@pytest.mark.parametrize("name", ["copy", "reverse", "selective_copy"])
def test_a_gap_is_that_many_blanks_before_the_mark(name: str, gap: int) -> None:
    inputs, targets = make(name, 5, symbols=3, gap=gap).batch(0, 50)
    blank = FIRST + 3
    for ids, answers in zip(inputs.tolist(), targets.tolist(), strict=True):
        shown, asked = ids[: 5 + gap], ids[6 + gap :]
        assert ids[5 + gap] == SEP
        assert asked == [blank] * 5
        symbols = [each - FIRST for each in shown if each != blank]
        assert answers == [-1] * (6 + gap) + (symbols[::-1] if name == "reverse" else symbols)
        assert name == "selective_copy" or shown[5:] == [blank] * gap
    assert make("selective_copy", 5).batch(0, 1).inputs.shape == (1, 16), "as many blanks as symbols by default"


@pytest.mark.parametrize("name", [name for name in TASKS if name not in ("associative_recall", "adding")])
def test_a_longer_sequence_has_the_same_ids_and_outputs(name: str) -> None:
    short, long = make(name, 4), make(name, 40)
    assert (short.vocabulary_size, short.num_outputs) == (long.vocabulary_size, long.num_outputs)


@pytest.mark.parametrize("name", TASKS)
def test_chance_is_what_the_best_constant_answer_reaches(name: str) -> None:
    task, n = make(name, 7, symbols=4), 4000
    targets = task.batch(0, n).targets.flatten()
    if name == "adding":
        reached = float(((targets - 1) ** 2).mean())
        assert reached == pytest.approx(task.at_chance, abs=0.02)
        return
    answers = targets[targets >= 0]
    reached = float(answers.bincount().max()) / len(answers)
    assert reached == pytest.approx(task.at_chance, abs=0.04)


def accuracy(row: str, task: Synthetic, updates: int) -> float:
    """What a small network of the row reaches on batches it has not seen."""
    torch.manual_seed(0)
    model: Model = build(
        row, Ids(task.vocabulary_size), task.num_outputs, ModelConfig(embedding_size=8, hidden_size=24, dropout=0)
    )
    optimizer = torch.optim.Adam(model.parameters(), lr=0.02)
    for index in range(updates):
        inputs, targets = task.batch(index, 64)
        F.cross_entropy(model(inputs)[0], targets).backward()
        optimizer.step()
        optimizer.zero_grad()
    inputs, targets = task.batch(10**6, 512)
    with torch.no_grad():
        return float((model(inputs)[0].argmax(1) == targets).double().mean())


def test_an_lstm_recalls_what_a_bag_cannot_know() -> None:
    task = make("recall", 6, symbols=4)
    assert accuracy("lstm", task, 120) > 0.95
    assert accuracy("feedforward", task, 120) < task.at_chance + 0.08  # 4 standard deviations of 512 answers


def test_what_cannot_be_made_is_refused() -> None:
    with pytest.raises(
        ConfigError, match=r'no synthetic task "recal" \(did you mean "recall"\?\); there are recall, par'
    ):
        make("recal", 3)
    with pytest.raises(ConfigError, match="length must be at least 2: got 1"):
        make("adding", 1)
    with pytest.raises(ConfigError, match="gap is for copy, reverse, selective_copy and mqar"):
        make("recall", 3, gap=2)
    with pytest.raises(ConfigError, match="gap must be at least 0: got -1"):
        make("copy", 3, gap=-1)
    with pytest.raises(ConfigError, match="symbols must be at least 2: got 1"):
        make("copy", 3, symbols=1)
