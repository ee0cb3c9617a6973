"""Pairs as ids: inputs and targets of a model, and the pairs that it refuses."""

import json

import pytest
import torch

from unrolled.config import DataConfig
from unrolled.data.encoding.pairs import PairSequences, PairTokenizers, encode, fault
from unrolled.data.encoding.tokenizers import BOS, EOS, PAD, UNK
from unrolled.data.examples.pairs import load_pairs
from unrolled.data.reading.counts import Counts
from unrolled.errors import CheckpointError, ConfigError, DataError

CONFIG = DataConfig(tokenizer="word", source_tokenizer="character", min_frequency=1, lowercase=False, max_length=6)
PAIRS = [("hello", "HH AH L OW"), ("a", "AH"), ("low", "L OW")]
PART = load_pairs(PAIRS, CONFIG)
TOKENIZERS = PairTokenizers.learn(PART, CONFIG)


def test_each_side_has_its_tokeniser() -> None:
    assert (TOKENIZERS.source.kind, TOKENIZERS.target.kind) == ("character", "word")
    assert not TOKENIZERS.shared
    same = PairTokenizers.learn(PART, DataConfig(tokenizer="character", min_frequency=1))
    assert same.source.vocabulary_size == 5 + len(set("helloalow"))


def test_a_shared_vocabulary_is_learned_from_both_sides() -> None:
    both = PairTokenizers.learn(PART, DataConfig(tokenizer="character", min_frequency=1, shared_vocabulary=True))
    assert both.shared
    assert both.source.vocabulary_size == 5 + len(set("hello a low" + "HH AH L OW"))
    again = PairTokenizers.from_json(both.to_json())
    assert again.shared
    assert again.to_json() == both.to_json()


def test_one_vocabulary_has_one_tokeniser() -> None:
    from unrolled.config import from_flat

    with pytest.raises(ConfigError, match="one tokenizer for both sides: got byte for sources and auto for targets"):
        from_flat({"shared_vocabulary": True, "source_tokenizer": "byte"})


def test_written_and_read_they_are_the_same() -> None:
    again = PairTokenizers.from_json(TOKENIZERS.to_json())
    assert not again.shared
    assert again.to_json() == TOKENIZERS.to_json()
    assert again.source.encode(["hello"]) == TOKENIZERS.source.encode(["hello"])


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda text: text[:-9], "not JSON"),
        (lambda text: "[1]", "neither for both sides nor one for each"),
        (lambda text: text.replace('"source"', '"sauce"'), "neither for both sides nor one for each"),
        (lambda text: text.replace('"<bos>"', '"<boss>"'), "its first ids are not"),
        (lambda text: json.dumps({"both": 3}), r"tokenizers\.json, both, was not written by unrolled: it should be"),
    ],
)
def test_damage_is_noticed(change, problem: str) -> None:
    with pytest.raises(CheckpointError, match=problem):
        PairTokenizers.from_json(change(TOKENIZERS.to_json()))


def test_a_batch_begins_with_bos_and_asks_for_eos() -> None:
    pairs = PairSequences(TOKENIZERS, PART)
    assert pairs.lengths.tolist() == [[5, 5], [1, 2], [3, 3]]
    batch = pairs.pad(torch.tensor([2, 0]))
    assert TOKENIZERS.source.decode(batch.source[0].tolist()) == "low"
    assert (batch.source[0, 3:] == PAD).all()
    L, OW = TOKENIZERS.target.encode(["L OW"])[0]
    assert batch.ids[0, :3].tolist() == [BOS, L, OW]
    assert batch.targets[0].tolist() == [L, OW, EOS, PAD, PAD]
    assert batch.ids.shape == batch.targets.shape == (2, 5)
    assert (batch.source_lengths.tolist(), batch.lengths.tolist()) == ([3, 5], [3, 5])
    assert batch.targets[1, 4] == EOS


def test_what_a_model_cannot_take_is_named_or_counted() -> None:
    data = [*PAIRS, ("hellohe", "AH"), ("a", "AH AH AH AH AH AH L"), ("?!", "AH"), ("?a", "AH"), ("a", "X")]
    split = load_pairs(data, CONFIG)
    with pytest.raises(DataError, match=r"item 3: the source has 7 tokens, more than the maximum of 6") as no:
        encode(split, TOKENIZERS, CONFIG)
    assert no.value.row == "hellohe"
    assert "--truncate" in no.value.fix
    assert "--max-length" in no.value.fix
    with pytest.raises(DataError, match="item 4: the target has 7 tokens, more than the maximum of 6"):
        encode(split.select([4]), TOKENIZERS, CONFIG)
    with pytest.raises(DataError, match="item 5: all tokens of the source are unknown to"):
        encode(split.select([0, 1, 2, 6, 7, 5]), TOKENIZERS, CONFIG)
    left, ids = encode(split, TOKENIZERS, CONFIG.model_copy(update={"on_bad_row": "skip"}))
    reasons = {"source too long": 1, "target too long": 1, "unknown source": 1}
    assert left.counts == Counts(8, 5, reasons, "pairs")
    assert [row.line for row in left.skipped] == [3, 4, 5]
    assert len(ids) == 5
    with pytest.raises(DataError, match="none of its pairs can be used"):
        encode(split.select([3, 4]), TOKENIZERS, CONFIG.model_copy(update={"on_bad_row": "skip"}))


def test_what_is_too_long_is_cut_on_request(caplog: pytest.LogCaptureFixture) -> None:
    split = load_pairs([*PAIRS, ("hellohello", "AH AH AH AH AH AH L"), ("??????a", "AH")], CONFIG)
    config = CONFIG.model_copy(update={"truncate": True})
    with caplog.at_level("INFO", "unrolled"):
        left, ids = encode(split.select(range(4)), TOKENIZERS, config)
    assert "truncated to 6 tokens: 1 source and 1 target" in caplog.text
    assert len(left) == 4
    assert ids.lengths[3].tolist() == [6, 7]
    with pytest.raises(DataError, match="item 4: all tokens of the source are unknown"):
        encode(split, TOKENIZERS, config)  # its only known token was truncated


def test_why_a_source_cannot_be_decoded() -> None:
    assert fault("source", [7, UNK], 2) is None
    assert fault("source", [7, 7, 7], 2).reason == "source too long"
    assert fault("source", [UNK, UNK], 2).reason == "unknown source"
    assert fault("target", [UNK], 2) is None


def test_phonemes_are_words_and_come_back_exactly() -> None:
    split = load_pairs("sample:letters/valid", CONFIG)
    tokenizers = PairTokenizers.learn(split, CONFIG)
    assert tokenizers.target.vocabulary_size == 5 + 39
    for tokenizer, texts in ((tokenizers.source, split.sources()), (tokenizers.target, split.targets())):
        for text, ids in zip(texts, tokenizer.encode_each(texts), strict=True):
            assert tokenizer.decode(ids) == text
            assert UNK not in ids
    assert len(tokenizers.target.encode(["HH AH L OW"])[0]) == 4


def test_a_split_without_pairs() -> None:
    left, ids = encode(PART.select([]), TOKENIZERS, CONFIG)
    assert len(left) == len(ids) == 0
