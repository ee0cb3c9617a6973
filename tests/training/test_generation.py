"""Batches of a text: every token is a target once; streams continue, windows are full."""

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from unrolled.data.encoding.tokenizers import BOS, PAD
from unrolled.training import Batch
from unrolled.training.generation import Streams, Windows, loss_nats

IDS = np.arange(5, 105, dtype=np.uint8)  # every token stands once, in order: token − 5 is its place
CPU = torch.device("cpu")


def epoch(source: Streams | Windows, number: int = 0) -> list[Batch]:
    return [source.batch(number, index) for index in range(source.count(number))]


@pytest.mark.parametrize(("streams", "chunk"), [(1, 7), (3, 8), (4, 25), (4, 5), (7, 3), (16, 50), (100, 1)])
def test_streams_hold_every_target_once_and_go_on(streams: int, chunk: int) -> None:
    batches = epoch(Streams(IDS, streams=streams, chunk=chunk, device=CPU))
    B = min(streams, 100 // chunk)
    n = 100 // B
    targets = torch.cat([batch.targets for batch in batches], dim=1)
    assert targets.shape == (B, n)
    assert targets.flatten().tolist() == list(range(5, 5 + B * n)), "in the order of the text"
    inputs = torch.cat([batch.inputs for batch in batches], dim=1)
    assert inputs[:, 0].tolist() == [BOS] * B
    assert torch.equal(inputs[:, 1:], targets[:, :-1])
    assert [batch.continues for batch in batches] == [False] + [True] * (len(batches) - 1)
    assert all(batch.num_targets == batch.num_tokens == batch.targets.numel() for batch in batches)
    assert all(batch.targets.shape[1] <= chunk for batch in batches)


def test_a_batch_is_a_pure_function_of_its_place() -> None:
    source = Streams(IDS, streams=3, chunk=8, device=CPU)
    windows = Windows(IDS, receptive_field=4, streams=3, chunk=8, seed=1, device=CPU)
    for each in (source, windows):
        later = each.batch(1, 2)
        each.batch(0, 0)
        assert torch.equal(each.batch(1, 2).inputs, later.inputs)
    assert not torch.equal(windows.batch(0, 2).inputs, windows.batch(1, 2).inputs)
    assert not torch.equal(windows.batch(0, 0).inputs, windows.batch(0, 1).inputs)
    other = Windows(IDS, receptive_field=4, streams=3, chunk=8, seed=2, device=CPU)
    assert not torch.equal(windows.batch(0, 0).inputs, other.batch(0, 0).inputs)


def test_windows_begin_anywhere_from_the_first_token_to_the_last_whole_window() -> None:
    source = Windows(IDS, receptive_field=1, streams=20, chunk=8, seed=0, device=CPU)
    starts = {int(start) - 5 for number in range(200) for start in source.batch(number, 0).targets[:, 0]}
    assert starts == set(range(100 - 8 + 1))
    whole = Windows(IDS, receptive_field=1, streams=2, chunk=500, seed=0, device=CPU).batch(0, 0)
    assert whole.targets.tolist() == [IDS.tolist()] * 2


@pytest.mark.parametrize("receptive_field", [1, 4, 200])
def test_every_target_of_a_window_has_all_that_it_may_see(receptive_field: int) -> None:
    source = Windows(IDS, receptive_field=receptive_field, streams=5, chunk=8, seed=0, device=CPU)
    assert source.count(0) == 3
    seen = set()
    for batch in epoch(source) + epoch(source, 1) + epoch(source, 2):
        assert batch.inputs.shape == batch.targets.shape == (5, receptive_field - 1 + 8)
        assert not batch.continues
        assert batch.num_targets == 40
        assert (batch.targets[:, : receptive_field - 1] == PAD).all()
        for inputs, targets in zip(batch.inputs.tolist(), batch.targets.tolist(), strict=True):
            for place in range(receptive_field - 1, receptive_field + 7):
                window = inputs[place - receptive_field + 1 : place + 1]
                text = [PAD] * 200 + [BOS, *range(5, targets[place])]
                assert window == text[len(text) - receptive_field :]
            seen.add(targets[-1])
    assert len(seen) > 20


def test_a_text_shorter_than_a_chunk_is_one_chunk() -> None:
    batch = Windows(IDS[:5], receptive_field=2, streams=2, chunk=8, seed=0, device=CPU).batch(0, 0)
    assert batch.targets.tolist() == [[PAD, *IDS[:5]]] * 2


def test_the_loss_counts_real_targets_only() -> None:
    logits, targets = torch.randn(2, 3, 7, dtype=torch.float64), torch.tensor([[0, 5, 6], [2, 0, 3]])
    p = logits.softmax(2)
    wanted = -sum(p[b, t, targets[b, t]].log() for b in range(2) for t in range(3) if targets[b, t])
    torch.testing.assert_close(loss_nats(logits, targets), wanted)
    assert float(loss_nats(logits, targets)) == pytest.approx(
        float(F.nll_loss(logits.log_softmax(2).flatten(0, 1), targets.flatten(), ignore_index=0, reduction="sum"))
    )
