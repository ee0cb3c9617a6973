"""Batches and loss of the task tag: a target where a word ends, and nothing elsewhere."""

import pytest
import torch
from torch.nn import functional as F

from unrolled.data.encoding.tokenizers import Tokenizer
from unrolled.data.encoding.words import NO_WORD, Subwords
from unrolled.training.tagging import TaggingLoader, loss_nats

SENTENCES = [("the", "film"), ("a",), ("fine", "a", "plot", "the"), ("the", "a")]
TARGETS = torch.tensor([3, 4, 5, 6, 5, 7, 3, 3, 5])
TOKENIZER = Tokenizer.train([" the film a fine plot"], kind="character", min_frequency=1)


def test_an_epoch_has_every_word_once_at_its_end() -> None:
    source = TaggingLoader(Subwords(TOKENIZER, SENTENCES), TARGETS, batch_tokens=20, seed=0, device=torch.device("cpu"))
    found = []
    for index in range(source.count(0)):
        batch = source.batch(0, index)
        asked = batch.targets != NO_WORD
        assert batch.targets.shape == batch.inputs.shape
        assert batch.num_targets == int(asked.sum())
        assert batch.num_tokens == int(batch.lengths.sum())
        last = batch.inputs[torch.arange(len(batch.lengths)), batch.lengths - 1]
        assert not (last == 0).any()
        for ids, targets in zip(batch.inputs, batch.targets, strict=True):
            text = TOKENIZER.decode(ids[: int((ids != 0).sum())].tolist())
            ends = (targets != NO_WORD).nonzero().flatten().tolist()
            found += [(text[: end + 1].split()[-1], int(targets[end])) for end in ends]
        again = source.batch(0, index)
        assert torch.equal(batch.inputs, again.inputs)
        assert torch.equal(batch.targets, again.targets)
    words = [word for sentence in SENTENCES for word in sentence]
    assert sorted(found) == sorted(zip(words, TARGETS.tolist(), strict=True))


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_the_loss_is_that_of_the_words(smoothing: float) -> None:
    logits = torch.randn(2, 3, 4, requires_grad=True)
    targets = torch.tensor([[NO_WORD, 2, 0], [3, NO_WORD, NO_WORD]])
    weights = torch.tensor([1.0, 2.0, 0.5, 3.0])
    rows, classes = logits[[0, 0, 1], [1, 2, 0]], torch.tensor([2, 0, 3])
    expected = F.cross_entropy(rows, classes, weight=weights, reduction="sum", label_smoothing=smoothing)
    loss = loss_nats(logits, targets, label_smoothing=smoothing, class_weights=weights)
    torch.testing.assert_close(loss, expected)
    loss.backward()
    assert not logits.grad[targets == NO_WORD].any()
