"""Spellings of labels, texts and words: what means the same is said, and normalised on request."""

from __future__ import annotations

import json
from pathlib import Path
from unittest.mock import patch

import numpy as np

import unrolled
from strangers.cases import FILES, case
from strangers.commands import SMALL, command, conllu, reviews, table

NO_SPACES = "\u00a0\u2007\u202f\u3000\u0085\u2028\u2029\u001c\u001f\u000b\u000c"  # that separate nothing in a file


@case("A")
def labels_that_mean_the_same(folder: Path) -> None:
    """Labels 1 and 1.0, case, spaces, NFC and NFD are named by data and by train"""
    outcome = command("data", FILES / "12-one-and-1.0.csv")
    assert "similar labels" in outcome.out, outcome
    assert '"1", "1.0"' in outcome.out or '"1.0", "1"' in outcome.out, outcome.out
    for number, labels in enumerate((("2", "02", "x"), ("Good", "good ", "bad"), ("caf\u00e9", "cafe\u0301", "bar"))):
        path = table(folder / f"{number}.csv", reviews(90, labels))
        assert "similar labels" in command("data", path).out, labels
        outcome = command("train", path, "--out", folder / f"run{number}", *SMALL)
        assert outcome.code == 0, outcome
        assert "similar labels" in outcome.err, labels
    different = table(folder / "fine.csv", reviews(90, ("12345678901234567890", "12345678901234567891", "1e5")))
    assert "similar labels" not in command("data", different).out


@case("A")
def labels_in_one_cell(folder: Path) -> None:
    """Several labels in a cell, as a;b or a|b or a,b or ['a', 'b'], are named by data and by train"""
    for number, between in enumerate((";", "|", ",", " / ", "; ")):
        path = table(folder / f"{number}.csv", reviews(90, ("sad", "glad", f"sad{between}glad")))
        assert f'"sad{between}glad"' in command("data", path).out.partition("joint labels")[2], between
    outcome = command("train", folder / "0.csv", "--out", folder / "run", *SMALL)
    assert outcome.code == 0, outcome
    assert "joint labels" in outcome.err
    lists = table(folder / "list.csv", reviews(90, ("['sad']", "['glad']", "['sad', 'glad']")))
    assert "joint labels" in command("data", lists).out
    places = table(folder / "fine.csv", reviews(90, ("New York, NY", "Buffalo, NY", "Boston")))
    assert "joint labels" not in command("data", places).out


@case("A")
def spellings_of_unicode(folder: Path) -> None:
    """NFC and NFD spellings of a text are a conflict and a leak, and one text with --normalize nfc"""
    rows = reviews(60)
    rows = [(f"caf\u00e9 {text}", label) for text, label in rows]
    twice = [*rows, *((text.replace("\u00e9", "e\u0301"), "other") for text, _ in rows)]
    path = table(folder / "a.csv", twice)
    out = command("data", path).out
    assert "conflicting labels: 60 texts" in out, out
    assert "leakage" in out
    assert "Unicode forms" in out
    out = command("data", path, "--normalize", "nfc").out
    assert "leakage" not in out, out
    assert "conflicting labels: 60 texts" in out
    assert "Unicode forms" not in out


@case("A")
def normalisation_is_recorded(folder: Path) -> None:
    """With --normalize, decode, evaluate and explain read both spellings as one"""
    rows = [(f"caf\u00e9 {text}", label) for text, label in reviews(60)]
    path = table(folder / "a.csv", rows)
    out = folder / "run"
    outcome = command("train", path, "--normalize", "nfkc", "--tokenizer", "character", "--out", out, *SMALL)
    assert outcome.code == 0, outcome
    loaded = unrolled.load(out)
    composed, decomposed, wide = (
        unrolled.decode(loaded, text)[0].probabilities for text in ("caf\u00e9 a", "cafe\u0301 a", "caf\u00e9 \uff41")
    )
    assert composed == decomposed == wide
    traces = [unrolled.explain(loaded, text) for text in ("caf\u00e9 a", "cafe\u0301 a")]
    assert np.array_equal(*(trace["logits"].numpy() for trace in traces))
    other = table(folder / "b.csv", [(text.replace("\u00e9", "e\u0301"), label) for text, label in rows])
    assert command("evaluate", out, path).out.replace("a.csv", "") == command("evaluate", out, other).out.replace(
        "b.csv", ""
    )
    plain = folder / "plain"
    command("train", path, "--tokenizer", "character", "--out", plain, *SMALL)
    first, second = (unrolled.decode(plain, text)[0].probabilities for text in ("caf\u00e9 a", "cafe\u0301 a"))
    assert first != second


@case("A")
def invisible_texts(folder: Path) -> None:
    """Texts of U+200B and the like only are named by data and by train; U+00A0 is an empty text"""
    for number, text in enumerate(("\u200b", "\u2060\ufeff", "\u00ad\u200d", "\u3164", "\u2800 \u200e")):
        path = table(folder / f"{number}.csv", [*reviews(60), (text, "good")])
        assert "invisible texts: 1 text of" in command("data", path).out, repr(text)
    outcome = command("train", folder / "0.csv", "--out", folder / "run", *SMALL)
    assert outcome.code == 0, outcome
    assert "invisible texts" in outcome.err
    path = table(folder / "a.csv", [*reviews(60), ("\u00a0", "good")])
    outcome = command("data", path)
    assert outcome.code == 2
    assert 'line 62, column 1 ("text"): the text is empty' in outcome.out, outcome
    outcome = command("data", FILES / "01b-only-invisible.tsv", "--task", "translate")
    assert "invisible texts" in outcome.out, outcome


@case("A")
def words_with_other_spaces(folder: Path) -> None:
    """A word with a no-break or any other space is one word in training, in decode and in explain"""
    words = [f"a{space}b" for space in NO_SPACES]
    path = conllu(folder / "a.conllu", words)
    outcome = command("train", path, "--task", "tag", "--out", folder / "run", *SMALL)
    assert outcome.code == 0, outcome
    loaded = unrolled.load(folder / "run")
    (whole,) = loaded.decode([words])
    (text,) = loaded.decode(" ".join(words))
    assert [word.word for word in text.words] == words
    assert text == whole
    assert len(unrolled.explain(loaded, " ".join(words))["steps"]) == len(words)
    outcome = command("decode", folder / "run", "--file", path, "--json")
    assert [word["word"] for word in json.loads(outcome.out.split("\n")[0])["words"]] == [*words, "no0"]


@case("A")
def labels_unseen_by_spelling(folder: Path) -> None:
    """A test label that differs from a known one only in spelling is refused with a hint at it"""
    path = table(folder / "a.csv", reviews(60))
    test = table(folder / "test.csv", reviews(9, ("Good", "bad")))
    outcome = command("data", path, "--test", test)
    assert outcome.code == 2, outcome
    assert 'differs from "good" only in spelling' in outcome.out, outcome


@case("A")
def labels_of_two_types(folder: Path) -> None:
    """JSON labels 1 and "1", or true and "true", become one class, and that is said"""
    for number, (first, second) in enumerate((("1", '"1"'), ("true", '"true"'))):
        path = folder / f"{number}.jsonl"
        rows = [f'{{"text": "{text}", "label": {label}}}' for text, label in reviews(60, (first, second, '"other"'))]
        path.write_text("\n".join(rows) + "\n")
        assert "labels of several types" in command("data", path).out, first
        outcome = command("train", path, "--out", folder / f"run{number}", *SMALL)
        assert "labels of several types" in outcome.err, outcome


@case("A")
def texts_of_decomposed_characters(folder: Path) -> None:
    """Plain text with decomposed characters, or a byte order mark within, is said; --normalize reads them as one"""
    path = folder / "a.txt"
    path.write_text("a caf\u00e9 and a cafe\u0301 in the street\n" * 200 + "\ufeffjoined\n", encoding="utf-8")
    outcome = command("data", path, "--task", "generate", "--cache", folder / "cache")
    assert "Unicode forms: 200 lines" in outcome.out, outcome
    assert "byte order marks: 1 line with" in outcome.out
    outcome = command("data", path, "--task", "generate", "--cache", folder / "cache", "--normalize", "nfc")
    assert "Unicode forms" not in outcome.out
    assert '"\\u0301"' not in outcome.out


@case("A")
def normal_forms_of_pairs_and_tags(folder: Path) -> None:
    """With --normalize, references of translations and words seen in training are compared in the normal form"""
    pairs = [(f"w{i} caf\u00e9", f"w{i} cafe\u0301") for i in range(40)]
    settings = {
        "hidden_size": 4,
        "embedding_size": 4,
        "updates": 1,
        "min_frequency": 1,
        "threads": 1,
        "normalize": "nfc",
    }
    made = unrolled.train(pairs, task="translate", tokenizer="character", **settings)
    changed = [tuple(text.replace("e\u0301", "\u00e9") for text in pair) for pair in pairs]
    with patch("unrolled.runs.translation.evaluate_translation") as compared:
        made.evaluate(pairs)
        made.evaluate(changed)
    first, second = (call.args[:2] for call in compared.call_args_list)
    assert first == second
    sentences = [(["caf\u00e9", f"no{i}"], ["NOUN", "NUM"]) for i in range(40)]
    tagger = unrolled.train(sentences, task="tag", tokenizer="character", **settings)
    decomposed = [(["cafe\u0301", words[1]], tags) for words, tags in sentences]
    assert tagger.evaluate(decomposed).to_dict() == tagger.evaluate(sentences).to_dict()
    assert tagger.evaluate([(["cafe\u0301"], ["NOUN"])]).unseen == 0
