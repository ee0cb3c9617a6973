import subprocess
import sys
import time
import tracemalloc

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from unrolled.data.encoding.batches import Batches, Sequences, by_length
from unrolled.data.encoding.tokenizers import UNK
from unrolled.data.reading import arrays

LENGTHS = st.lists(st.integers(0, 60), max_size=80).map(lambda rows: torch.tensor(rows, dtype=torch.int64))
MANY = torch.randint(1, 70, (10_000,), generator=torch.Generator().manual_seed(0))


def test_sequences_pad_any_rows_on_the_right():
    sequences = Sequences([[5, 6, 7], [8], [], [9, 10]])
    ids, lengths = sequences.pad(torch.tensor([3, 0, 2, 0]))
    assert ids.tolist() == [[9, 10, 0], [5, 6, 7], [0, 0, 0], [5, 6, 7]]
    assert lengths.tolist() == [2, 3, 0, 3]
    assert (ids.dtype, lengths.dtype) == (torch.int64, torch.int64)
    assert len(sequences) == 4
    for index, each in enumerate([[5, 6, 7], [8], [], [9, 10]]):
        ids, lengths = sequences.pad(torch.tensor([index]))
        assert (ids.tolist(), lengths.tolist()) == ([each], [len(each)])
        assert (ids.dtype, lengths.dtype) == (torch.int64, torch.int64)


def test_sequences_of_nothing():
    assert [t.shape for t in Sequences([]).pad(torch.tensor([], dtype=torch.int64))] == [(0, 0), (0,)]
    assert Sequences([[], []]).pad(torch.tensor([1]))[0].shape == (1, 0)


def test_padding_is_as_wide_as_the_longest_of_the_batch():
    sequences = Sequences([[1] * n for n in range(1, 20)])
    for batch in by_length(sequences.lengths, 40):
        ids, lengths = sequences.pad(batch)
        assert ids.shape == (len(batch), lengths.max())
        assert (ids.sum(1) == lengths).all()


def check_plan(batches, lengths, budget):
    rows = torch.cat([*batches, torch.tensor([], dtype=torch.int64)])
    assert rows.sort().values.tolist() == list(range(len(lengths)))
    for batch in batches:
        assert batch.dtype == torch.int64
        assert len(batch) * int(lengths[batch].max()) <= budget or len(batch) == 1


@given(LENGTHS, st.integers(1, 200), st.integers(0, 5), st.integers(0, 5))
@settings(max_examples=200)
def test_every_row_once_an_epoch_within_the_budget(lengths, budget, seed, epoch):
    batches = Batches(lengths, budget, seed)
    check_plan([batches.indices(epoch, i) for i in range(batches.count(epoch))], lengths, budget)
    check_plan(by_length(lengths, budget), lengths, budget)


def test_a_batch_is_full_at_exactly_its_budget():
    assert [len(rows) for rows in by_length(torch.full((6,), 5), 10)] == [2, 2, 2]
    assert [len(rows) for rows in by_length(torch.full((6,), 5), 9)] == [1] * 6
    assert [len(rows) for rows in by_length(torch.tensor([[2, 3]] * 6), 15)] == [3, 3]


@given(LENGTHS, st.integers(1, 300), st.integers(0, 5))
@settings(max_examples=100)
def test_rows_of_two_sequences_have_both_in_the_budget(lengths, budget, seed):
    both = torch.stack([lengths, lengths.flip(0) // 2], dim=1)
    batches = Batches(both, budget, seed)
    for found in ([batches.indices(0, i) for i in range(batches.count(0))], by_length(both, budget)):
        assert torch.cat([*found, torch.tensor([], dtype=torch.int64)]).sort().values.tolist() == list(range(len(both)))
        for rows in found:
            assert len(rows) * int(both[rows].max(dim=0).values.sum()) <= budget or len(rows) == 1


def test_little_of_two_sequences_is_padding():
    other = (MANY * 1.1 + torch.randint(0, 9, MANY.shape, generator=torch.Generator().manual_seed(1))).long()
    both = torch.stack([MANY, other], dim=1)
    batches = Batches(both, 4096, 0)
    rows = [batches.indices(0, i) for i in range(batches.count(0))]
    assert sum(len(some) * int(both[some].max(dim=0).values.sum()) for some in rows) < 1.12 * int(both.sum())


def plan(batches, epoch):
    return [batches.indices(epoch, i).tolist() for i in range(batches.count(epoch))]


def test_a_batch_is_a_function_of_seed_epoch_and_index():
    batches = Batches(MANY, 2048, 3)
    first, second = plan(batches, 0), plan(batches, 1)
    assert plan(batches, 0) == first
    assert batches.indices(1, 7).tolist() == second[7]
    assert plan(Batches(MANY, 2048, 3), 1) == second
    assert first != second
    assert sorted(map(sorted, first)) != sorted(map(sorted, second))
    assert plan(Batches(MANY, 2048, 4), 0) != first
    assert plan(Batches(MANY, 2048, 0), 3) != first


def test_it_is_the_same_in_every_process():
    expected = Batches(torch.arange(1000) % 37, 256, 5).indices(2, 11).tolist()
    program = f"""if True:
        import torch
        from unrolled.data.encoding.batches import Batches
        assert Batches(torch.arange(1000) % 37, 256, 5).indices(2, 11).tolist() == {expected}
    """
    subprocess.run([sys.executable, "-c", program], check=True)


def test_little_is_padding_and_lengths_are_mixed_over_the_epoch():
    batches = Batches(MANY, 2048, 0)
    padded = [len(rows) * int(MANY[rows].max()) for rows in (batches.indices(0, i) for i in range(batches.count(0)))]
    assert sum(padded) < 1.06 * int(MANY.sum())
    means = torch.tensor([MANY[batches.indices(0, i)].double().mean() for i in range(batches.count(0))])
    order = torch.arange(len(means)).double()
    assert abs(float(torch.corrcoef(torch.stack([means, order]))[0, 1])) < 0.25


def test_evaluation_begins_with_the_longest_and_keeps_equal_ones_in_order():
    batches = by_length(torch.tensor([2, 5, 2, 5, 9]), 10)
    assert [batch.tolist() for batch in batches] == [[4], [1, 3], [0, 2]]
    assert by_length(torch.tensor([], dtype=torch.int64), 10) == []


@pytest.mark.parametrize("budget", [512, 2048])
def test_a_batch_costs_next_to_nothing(budget):
    sequences = Sequences([[7] * int(n) for n in MANY])
    batches = Batches(sequences.lengths, budget, 0)
    count = batches.count(0)
    began = time.perf_counter()
    for i in range(count):
        sequences.pad(batches.indices(0, i))
    assert (time.perf_counter() - began) / count < 1e-3


def listed(lengths, budget, seed, epoch):
    """The batches of an epoch as a list of lists: the definition."""
    random = np.random.default_rng((seed, epoch))
    order = random.permutation(len(lengths))
    totals = lengths.sum(axis=1)
    window = 64 * max(1, budget // max(1, int(totals.mean())))
    batches = []
    for start in range(0, len(order), window):
        batch: list[int] = []
        for i in sorted(order[start : start + window].tolist(), key=lambda i: -totals[i]):
            widest = lengths[[*batch, i]].max(axis=0).sum()
            if batch and widest * (len(batch) + 1) > budget:
                batches.append(batch)
                batch = []
            batch.append(i)
        batches.append(batch)
    return [batches[i] for i in random.permutation(len(batches))]


@pytest.mark.parametrize(("budget", "seed", "epoch"), [(100, 0, 0), (256, 3, 2), (1, 1, 1)])
def test_the_order_is_that_of_its_definition(budget, seed, epoch):
    for lengths in (MANY[:3_000, None], torch.stack([MANY[:2_000], MANY[2_000:4_000]], dim=1)):
        for kind in (torch.int64, torch.int32):
            found = plan(Batches(lengths.to(kind), budget, seed), epoch)
            assert found == listed(lengths.numpy(), budget, seed, epoch)


def test_a_plan_takes_few_bytes_a_row():
    lengths = torch.ones(1_000_000, dtype=torch.int32)
    batches = Batches(lengths, 32, 0)
    tracemalloc.start()
    batches.count(0)
    held, highest = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert held < 5.5 * len(lengths)
    assert highest < 10 * len(lengths)


@pytest.mark.parametrize("limit", [1, 1 << 23])
def test_ids_are_small_integers_on_disk_or_in_memory(monkeypatch, limit):
    monkeypatch.setattr(arrays, "IN_MEMORY", limit)
    monkeypatch.setattr(arrays, "BLOCK", 16)
    rows = [[i % 300 for i in range(n)] for n in MANY[:500].tolist()]
    sequences = Sequences(rows, arrays.integer_for(300))
    assert sequences.ids.dtype == np.int16
    ids, lengths = sequences.pad(torch.arange(len(rows)))
    assert [row[:n] for row, n in zip(ids.tolist(), lengths, strict=True)] == rows
    again = Sequences.of(sequences.arrays())
    assert torch.equal(again.pad(torch.tensor([3, 1]))[0], sequences.pad(torch.tensor([3, 1]))[0])
    assert sequences.select([5, 2]).pad(torch.tensor([1]))[0].tolist() == [rows[2]]
    assert sequences.unknown_rate == sum(row.count(UNK) for row in rows) / (sum(map(len, rows)) + 1)
