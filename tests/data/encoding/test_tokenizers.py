import json
import logging
import subprocess
import sys
import unicodedata
from typing import Literal, get_args

import numpy as np
import pytest
import tokenizers as library
from hypothesis import given, settings
from hypothesis import strategies as st

from unrolled.data.encoding import vocabulary
from unrolled.data.encoding.blocks import at_line_ends
from unrolled.data.encoding.tokenizers import BOS, PAD, SPECIAL, UNK, Kind, Tokenizer, marked
from unrolled.data.reading.samples import read_sample
from unrolled.errors import CheckpointError, ConfigError, DataError

KINDS = ["character", "byte", "word", "bpe"]
TEXTS = [row.values[0] for row in read_sample("sample:products/valid", ("text",))]
ODD = "\u00a0İstanbul ǅ ﬁ e\u0301 caf\u0065\u0301 — “no” it’s 你好 สวัสดี 👩\u200d🚀\r\n\t\0 \u200b<pad>"


@pytest.fixture(scope="module", params=KINDS)
def tokenizer(request):
    return Tokenizer.train([*TEXTS, ODD, ODD], kind=request.param, min_frequency=1)


def words(text, **options):
    return [text[start:end] for start, end in Tokenizer.train([text], min_frequency=1, **options).spans(text)]


def test_special_ids_are_the_first_five(tokenizer):
    assert tokenizer.tokens(range(5)) == ["<pad>", "<unk>", "<bos>", "<eos>", "<sep>"]
    assert tokenizer.vocabulary_size == len(set(tokenizer.tokens(range(5, tokenizer.vocabulary_size)))) + 5 or (
        tokenizer.kind in ("byte", "bpe")  # parts of characters may have the same text
    )


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("special", SPECIAL)
def test_special_strings_in_a_text_are_ordinary_text(kind, special):
    texts = [f"{special}{special} a {special}", f"x{special}y"] * 50
    tokenizer = Tokenizer.train(texts, kind=kind, min_frequency=1)
    for ids in tokenizer.encode([*texts, special]):
        assert min(ids) >= len(SPECIAL)
    assert tokenizer.decode(tokenizer.encode([special])[0]).replace(" ", "") == special
    assert list(tokenizer._tokens).count(special) == 1


@pytest.mark.parametrize("kind", ["character", "byte", "bpe"])
def test_texts_come_back_exactly(kind):
    texts = [*TEXTS, ODD, "\n", "  a  ", "<unk>", "a\r\nb"]
    tokenizer = Tokenizer.train(texts, kind=kind, min_frequency=1)
    assert [tokenizer.decode(ids) for ids in tokenizer.encode(texts)] == texts


@given(st.text(st.characters(exclude_categories=["Cs"])))
@settings(max_examples=200)
def test_bytes_cover_every_text(text):
    for tokenizer in (BYTE, BPE):
        ids = tokenizer.encode([text])[0]
        assert tokenizer.decode(ids) == (text or "<unk>")
        assert UNK not in ids or not text
    if text:
        assert [i - 5 for i in BYTE.encode([text])[0]] == list(text.encode())


BYTE = Tokenizer.train([], kind="byte", vocabulary_size=6)
BPE = Tokenizer.train(TEXTS, kind="bpe", vocabulary_size=600)
WORD = Tokenizer.train(TEXTS)
CHARACTER = Tokenizer.train(TEXTS, kind="character")


@given(st.text(st.characters(exclude_categories=["Cs"])))
@settings(max_examples=200)
def test_spans_are_characters_of_the_original(text):
    for tokenizer in (BYTE, BPE, WORD, CHARACTER):
        spans = tokenizer.spans(text)
        assert len(spans) == len(tokenizer.encode([text])[0])
        assert all(0 <= start <= end <= len(text) for start, end in spans)
        assert spans == sorted(spans)
    if text:
        assert CHARACTER.spans(text) == [(i, i + 1) for i in range(len(text))]
    covered = {i for start, end in WORD.spans(text) for i in range(start, end)}
    assert all(text[i].isspace() for i in range(len(text)) if i not in covered)


def test_how_words_are_parted():
    assert words("I don't, can't & won't!") == ["I", "do", "n't", ",", "ca", "n't", "&", "wo", "n't", "!"]
    assert words("It's they're we’ve I'LL") == ["It", "'s", "they", "'re", "we", "’ve", "I", "'LL"]
    assert words("l'homme n'tait d'Arc") == ["l", "'", "homme", "n", "'", "tait", "d", "'", "Arc"]
    assert words("''good'' 3.5 10th") == ["'", "'", "good", "'", "'", "3", ".", "5", "10th"]
    assert words("你好 カタ naïve cafe\u0301!") == ["你", "好", "カ", "タ", "naïve", "cafe\u0301", "!"]
    assert words("\u1112\u1161\u11ab gu\u0308") == ["\u1112\u1161\u11ab", "gu\u0308"]
    assert words("n't 'tis rock'n'roll") == ["n't", "'", "tis", "rock", "'", "n", "'", "roll"]


def test_words_fold_case_composition_and_apostrophes():
    tokenizer = Tokenizer.train(["Don't", "CAFE\u0301"], min_frequency=1)
    assert tokenizer.lowercase
    assert tokenizer.encode(["do n't"]) == tokenizer.encode(["DO N’T"]) == tokenizer.encode(["Don’t"])
    assert tokenizer.encode(["café"]) == tokenizer.encode(["cafe\u0301"])
    assert UNK not in tokenizer.encode(["CAFÉ"])[0]
    cased = Tokenizer.train(["Don't"], min_frequency=1, lowercase=False)
    assert cased.encode(["Do do"]) == [[cased.encode(["Do"])[0][0], UNK]]


def test_the_rare_and_the_surplus_become_unknown():
    texts = ["a a a b b c", "d d d d"]
    assert Tokenizer.train(texts, min_frequency=2).tokens(range(5, 8)) == ["d", "a", "b"]
    small = Tokenizer.train(texts, min_frequency=1, vocabulary_size=7)
    assert small.vocabulary_size == 7
    assert small.decode(small.encode(["c d a b"])[0]) == "<unk> d a <unk>"
    assert Tokenizer.train(["b a c"], min_frequency=1).tokens(range(5, 8)) == ["a", "b", "c"]


@pytest.mark.parametrize("kind", ["word", "character"])
def test_a_text_without_a_token_is_one_unknown(kind):
    tokenizer = Tokenizer.train(TEXTS, kind=kind)
    assert tokenizer.encode(["", "good"])[0] == [UNK]
    assert tokenizer.spans("") == [(0, 0)]
    if kind == "word":
        assert tokenizer.encode([" \n"]) == [[UNK]]
        assert tokenizer.spans(" \n") == [(0, 2)]


def test_decode_leaves_the_special_out_but_shows_the_unknown(tokenizer):
    ids = tokenizer.encode(["good"])[0]
    assert tokenizer.decode([2, *ids, 3, 0, 0]) == "good"
    assert "<unk>" in tokenizer.decode([*ids, UNK])


def test_tokens_are_readable():
    assert BYTE.tokens(BYTE.encode(["é\n"])[0]) == ["\\xc3", "\\xa9", "\n"]
    assert BPE.tokens(BPE.encode(["it works"])[0])[0].strip() in "it"
    assert "Ġ" not in "".join(BPE.tokens(range(BPE.vocabulary_size)))


def test_the_same_texts_give_the_same_bytes_in_every_process():
    program = """if True:
        import hashlib, sys
        from unrolled.data.reading.samples import read_sample
        from unrolled.data.encoding.tokenizers import Tokenizer
        texts = [row.values[0] for row in read_sample("sample:products", ("text",))]
        for kind in ("character", "byte", "word", "bpe"):
            json = Tokenizer.train(texts, kind=kind, vocabulary_size=1000, min_frequency=1).to_json()
            sys.stdout.write(hashlib.sha256(json.encode()).hexdigest())
    """
    runs = {subprocess.run([sys.executable, "-c", program], capture_output=True, check=True).stdout for _ in range(3)}
    assert len(runs) == 1


def test_the_order_of_the_texts_does_not_matter():
    for kind in KINDS:
        there, back = (Tokenizer.train(texts, kind=kind, min_frequency=1) for texts in (TEXTS, TEXTS[::-1]))
        assert there.to_json() == back.to_json()


def test_a_tokenizer_comes_back_from_its_json(tokenizer):
    again = Tokenizer.from_json(tokenizer.to_json())
    assert again.to_json() == tokenizer.to_json()
    assert (again.kind, again.lowercase) == (tokenizer.kind, tokenizer.lowercase)
    assert again.encode(TEXTS) == tokenizer.encode(TEXTS)


def test_the_plain_library_reads_the_json(tokenizer):
    plain = library.Tokenizer.from_str(tokenizer.to_json())
    for text, ids in zip(TEXTS, tokenizer.encode(TEXTS), strict=True):
        assert plain.encode(text).ids == ids
        assert plain.decode(ids) == tokenizer.decode(ids)


def damage(change):
    stored = json.loads(BPE.to_json())
    change(stored)
    return json.dumps(stored)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "not JSON"),
        (BPE.to_json()[:-5], "not JSON"),
        ("[" * 100_000, "not JSON"),
        ("[]", r"tokenizer\.json was not written by unrolled: it should be an object"),
        ("{}", "model is missing; pre_tokenizer is missing"),
        ("null", "it should be an object"),
        (damage(lambda s: s.pop("model")), "model is missing"),
        (damage(lambda s: s["model"].pop("vocab")), r"model\.vocab is missing"),
        (damage(lambda s: s["model"].update(vocab=[1, 2])), r"model\.vocab should be an object"),
        (damage(lambda s: s["model"]["vocab"].pop("a")), "without gaps"),
        (damage(lambda s: s["model"]["vocab"].update(a=5.5)), r"model\.vocab\.a should be a valid integer: got 5\.5"),
        (damage(lambda s: s["model"]["vocab"].update(a=None)), r"model\.vocab\.a should be a valid integer: got None"),
        (damage(lambda s: s["model"]["vocab"].update({"<pad>": 1, "<unk>": 0})), "first ids"),
        (damage(lambda s: s["model"]["vocab"].update(a=s["model"]["vocab"]["b"])), "without gaps"),
        (damage(lambda s: s["model"]["vocab"].update({"\ud800": 600})), "not JSON"),
        (damage(lambda s: s["model"]["vocab"].update(a=10**30)), r"model\.vocab\.a should be less than or equal"),
        (damage(lambda s: s["model"]["vocab"].update(a=True)), r"model\.vocab\.a should be a valid integer: got True"),
        (damage(lambda s: s["model"].update(dropout=float("nan"))), "not JSON"),
        (damage(lambda s: s["model"]["merges"].insert(0, [1, 2])), r"model\.merges\.0\.0 should be a valid string"),
        (damage(lambda s: s["model"]["merges"].pop()), "does not follow from its merges"),
        (damage(lambda s: s["model"]["merges"].append(["nothing", "here"])), "does not follow"),
        (damage(lambda s: s["model"]["merges"].append("ab cd")), r"model\.merges\.\d+ should be a valid array"),
        (
            damage(lambda s: s["pre_tokenizer"].update(add_prefix_space=True)),
            '"pre_tokenizer" was not written',
        ),
        (damage(lambda s: s["pre_tokenizer"].update(use_regex=False)), "does not follow"),
        (damage(lambda s: s["pre_tokenizer"].update(type="Else")), "a token is not one character"),
        (damage(lambda s: s.update(decoder=None)), '"decoder" was not written'),
        (
            damage(lambda s: s.update(added_tokens=[{"id": 0, "content": "<pad>"}])),
            '"added_tokens" was not written',
        ),
        (WORD.to_json().replace("Lowercase", "Lovercase"), '"normalizer" was not written'),
        (WORD.to_json().replace("\\\\p{Han}", "\\\\p{Hon}"), '"pre_tokenizer" was not written'),
    ],
)
def test_damaged_json_is_refused(text, reason):
    with pytest.raises(CheckpointError, match=reason):
        Tokenizer.from_json(text)


def test_what_cannot_be_trained():
    with pytest.raises(ConfigError, match='"words" is unknown; tokenizers are character, byte, word, bpe'):
        Tokenizer.train(TEXTS, kind="words")
    with pytest.raises(ConfigError, match="at least 261 for tokenizer bpe: got 260"):
        Tokenizer.train(TEXTS, kind="bpe", vocabulary_size=260)
    assert Tokenizer.train(TEXTS, kind="bpe", vocabulary_size=261).vocabulary_size == 261
    with pytest.raises(ConfigError, match="at least 6 for tokenizer word: got 5"):
        Tokenizer.train(TEXTS, vocabulary_size=5)
    assert Tokenizer.train(TEXTS, vocabulary_size=6).vocabulary_size == 6


def test_what_cannot_be_encoded():
    with pytest.raises(TypeError, match="a list of texts"):
        WORD.encode("a text")
    with pytest.raises(DataError, match="item 1: text is expected, got a Python NoneType"):
        WORD.encode(["a", None])
    with pytest.raises(DataError, match=r"item 2: the text holds an unpaired surrogate"):
        BPE.encode(["a", "é", "b\ud83d"])


def test_training_stops_at_whole_texts(monkeypatch, caplog):
    monkeypatch.setattr(vocabulary, "MOST_BYTES", 10)
    with caplog.at_level(logging.WARNING):
        tokenizer = Tokenizer.train(["one two", "été", "later"], min_frequency=1)
    assert tokenizer.vocabulary_size == 5 + 2
    assert "from the first 1 texts" in caplog.text
    caplog.clear()
    assert Tokenizer.train(["a very long text"], min_frequency=1).vocabulary_size == 5 + 4
    assert not caplog.text


def test_no_threads_to_fork():
    program = "import os, unrolled.data.encoding.tokenizers; assert os.environ['TOKENIZERS_PARALLELISM'] == 'false'"
    subprocess.run([sys.executable, "-c", program], check=True)


LONG = "\n".join([*TEXTS, ODD, "", " indented", "\ttab", "don't stop", ""])


@pytest.mark.parametrize("size", [1, 7, 1000, 10**6])
def test_blocks_give_the_ids_of_the_whole(tokenizer, size):
    blocks = [LONG[i : i + size] for i in range(0, len(LONG), size)]
    found = np.concatenate(list(tokenizer.encode_blocks(blocks)))
    assert found.tolist() == tokenizer.encode([LONG])[0]


def test_no_text_gives_no_ids(tokenizer):
    assert sum(len(ids) for ids in tokenizer.encode_blocks([])) == 0


def test_a_line_without_end_is_cut_where_memory_ends():
    chunks = list(at_line_ends(["ab cd"] * 6, most=10))
    assert "".join(chunks) == "ab cd" * 6
    assert max(map(len, chunks)) <= 10


def test_the_reader_says_what_decode_says(tokenizer):
    ids = tokenizer.encode([ODD])[0] + [PAD, BOS, UNK]
    read = tokenizer.reader()
    texts = [read(i) for i in ids]
    assert "".join(texts) == tokenizer.decode(ids)
    if tokenizer.kind == "byte":
        assert texts[ODD.encode().index("é".encode()) if "é" in ODD else 1] is not None
        assert all("\ufffd" not in text for text in texts), "an incomplete character is held back"


def test_the_characters_of_a_vocabulary_are_those_that_the_library_would_learn():
    learner = library.Tokenizer(library.models.WordLevel(unk_token="<unk>"))
    learner.pre_tokenizer = library.pre_tokenizers.Split(library.Regex(r"[\s\S]"), "isolated")
    trainer = library.trainers.WordLevelTrainer(
        vocab_size=40, min_frequency=2, special_tokens=list(SPECIAL), show_progress=False
    )
    learner.train_from_iterator(TEXTS, trainer)
    ours = Tokenizer.train(TEXTS, kind="character", vocabulary_size=40, min_frequency=2)
    assert json.loads(ours.to_json())["model"]["vocab"] == learner.get_vocab()


def test_what_is_unknown_is_named_with_its_place():
    tokenizer = Tokenizer.train(["abc abd"], kind="character", min_frequency=1)
    assert tokenizer.unknown("a\U0001f600bz") == [(1, "\U0001f600"), (3, "z")]
    assert tokenizer.unknown("abc") == []
    words = Tokenizer.train(["to be"], kind="word", min_frequency=1)
    assert words.unknown("To be, or") == [(5, ","), (7, "or")]
    assert Tokenizer.train(["abc"], kind="byte").unknown("äöü") == []


@pytest.mark.parametrize("kind", ["character", "byte", "word", "bpe"])
def test_whole_words_stand_behind_their_pieces(kind):
    words = ["the", "film", "the", "don't", "film", "the", "rare", "aa"]
    plain = Tokenizer.train(marked(words), kind=kind, vocabulary_size=280, min_frequency=2, lowercase=False)
    whole = Tokenizer.train(
        marked(words), kind=kind, vocabulary_size=280, min_frequency=2, lowercase=False, whole_words=2
    )
    V = plain.vocabulary_size
    assert whole.vocabulary_size == V + 2
    assert whole.tokens([V, V + 1]) == [" the", " film"], "the most frequent ones"
    words = ["film", "rare", "the", "☃"]
    own = [V + 1, UNK, V, UNK]
    assert whole.encode_words(words) == [[*ids, i] for ids, i in zip(plain.encode(marked(words)), own, strict=True)]
    assert plain.encode_words(words) == plain.encode(marked(words))
    assert whole.encode([" the film"]) == plain.encode([" the film"]), "in a text there are only subwords"
    again = Tokenizer.from_json(whole.to_json())
    assert again.encode_words(words) == whole.encode_words(words)
    assert again.to_json() == whole.to_json()


def test_a_rare_word_is_not_kept_whole():
    words = marked(["a", "b", "b"])
    for least, size in ((1, 2), (2, 1), (3, 0)):
        found = Tokenizer.train(words, kind="byte", min_frequency=least, whole_words=9)
        assert found.vocabulary_size == 261 + size


@pytest.mark.parametrize("kind", ["character", "word"])
def test_half_a_character_is_refused_where_the_unknown_is_looked_for(kind: str) -> None:
    with pytest.raises(DataError, match="an unpaired surrogate"):
        Tokenizer.train(["so fine"], kind=kind, min_frequency=1).unknown("so \udcff")


@pytest.mark.parametrize("kind", get_args(Kind))
@pytest.mark.parametrize("form", ["nfc", "nfkc"])
def test_normal_forms_hold_wherever_texts_enter(kind: Kind, form: Literal["nfc", "nfkc"]) -> None:
    composed, decomposed, wide = "a caf\u00e9 b", "a cafe\u0301 b", "\uff41 caf\u00e9 b"
    texts = [decomposed] * 3
    made = Tokenizer.train(texts, kind=kind, vocabulary_size=300, min_frequency=1, normalize=form)
    same = [composed, decomposed, *([wide] if form == "nfkc" else [])]
    for tokenizer in (made, Tokenizer.from_json(made.to_json())):
        assert tokenizer.normalize == form
        assert tokenizer.to_json() == made.to_json()
        ids = tokenizer.encode(same)
        assert all(each == ids[0] for each in ids)
        assert tokenizer.decode(ids[0]) == composed
        for text in same:
            assert [int(i) for block in tokenizer.encode_blocks([text]) for i in block] == ids[0]
            assert not tokenizer.unknown(text)
            spans = tokenizer.spans(text)
            assert len(spans) == len(ids[0])
            assert max(end for _, end in spans) == len(text)
    plain = Tokenizer.train(texts, kind=kind, vocabulary_size=300, min_frequency=1)
    assert plain.normalize == "none"
    assert (len({*map(tuple, plain.encode([composed, decomposed]))}) == 1) == (kind == "word")


def test_normal_forms_do_not_depend_on_the_blocks() -> None:
    text = "cafe\u0301 \u1112\u1161\u11ab e\u0301\u0323 o\u0302\u0301\n" * 3
    tokenizer = Tokenizer.train([text], kind="character", min_frequency=1, normalize="nfc")
    for size in (1, 2, 3, 7):
        blocks = [text[i : i + size] for i in range(0, len(text), size)]
        ids = [int(i) for block in tokenizer.encode_blocks(blocks) for i in block]
        assert tokenizer.decode(ids) == unicodedata.normalize("NFC", text)


def test_whole_words_in_normal_form() -> None:
    words = [" cafe\u0301"] * 3
    tokenizer = Tokenizer.train(words, kind="bpe", vocabulary_size=270, min_frequency=1, whole_words=9, normalize="nfc")
    first, second = tokenizer.encode_words(["caf\u00e9", "cafe\u0301"])
    assert first == second
    assert tokenizer.tokens(first[-1:]) == [" caf\u00e9"]
