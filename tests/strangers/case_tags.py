"""Tagged words as strangers have them: CoNLL-2000 and CoNLL-2003, other schemes, other endings, faults by line."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import unrolled
from strangers.cases import FILES, case
from strangers.commands import command
from unrolled.config import from_flat
from unrolled.data.examples.sentences import load_sentences
from unrolled.errors import UnrolledError

TINY = ("--hidden-size", "4", "--embedding-size", "4", "--updates", "2", "--threads", "1", "--quiet")
NAMES = ("Anna", "Bert", "Cora", "Dora", "Emil", "Fritz")


def sentences(folder: Path, name: str, lines: tuple[str, ...], separator: str = "\n", number: int = 40) -> Path:
    """Write sentences of these lines, in which {} becomes a name, with something between them."""
    blocks = ("\n".join(line.format(f"{NAMES[i % 6]}{i}") for line in lines) + "\n" for i in range(number))
    path = folder / name
    path.write_text(separator.join(blocks), encoding="utf-8")
    return path


C2003 = ("{} NNP I-NP I-PER", "saw VBD I-VP O", "New NNP I-NP I-LOC", "York NNP I-NP I-LOC", ". . O O")
BIO = tuple(line.replace("I-PER", "B-PER").replace("New NNP I-NP I-LOC", "New NNP I-NP B-LOC") for line in C2003)


@case("C")
def conll_2003(folder: Path) -> None:
    """CoNLL-2003: spaces, four columns, -DOCSTART- lines; --column chooses the tag, and a run is evaluated"""
    path = FILES / "16-conll2003.txt"
    outcome = command("data", path, "--task", "tag")
    assert "26 sentences read = 25 used + 1 skipped (1 -DOCSTART- line)" in outcome.out, outcome
    assert outcome.code == 2, outcome
    assert "choose a column with several tags: --column 2" in outcome.out
    outcome = command("data", path, "--task", "tag", "--column", 2)
    assert outcome.code == 0, outcome
    assert '"NOUN"' in outcome.out
    outcome = command("train", path, "--task", "tag", "--column", "2", "--out", folder / "run", *TINY)
    assert outcome.code == 0, outcome
    assert command("evaluate", folder / "run").code == 0
    outcome = command("evaluate", folder / "run", path)
    assert "25 used" in outcome.err, outcome
    assert command("evaluate", folder / "run", path, "--column", 4).code == 2
    assert command("decode", folder / "run", "--file", path).code == 0


@case("C")
def endings_and_separators(folder: Path) -> None:
    """.conll, .bio, .iob, .iob2, .bioes, .bmes, .txt; empty lines, spaces or a lone tab between sentences"""
    config = from_flat({"task": "tag"}).data
    expected = None
    for name in ("a.conll", "a.bio", "a.iob", "a.iob2", "a.bioes", "a.bmes", "a.txt", "a.tsv"):
        for separator in ("\n", "\t\n", "   \n", " \t \n\n"):
            for between in (" ", "\t", "  "):
                lines = tuple(line.replace(" ", between) for line in C2003)
                found = load_sentences(sentences(folder, name, lines, separator), config)
                assert (len(found), found.counts.skipped) == (40, {}), (name, separator)
                assert found.fingerprint == (expected := expected or found.fingerprint), (name, separator, between)


@case("C")
def schemes_are_said(folder: Path) -> None:
    """IOB1, IOB2, IOBES, BILOU and BMES are recognised and said by data and train"""
    for scheme, tags in {
        "IOB1": ("I-PER", "O", "I-LOC", "I-LOC"),
        "IOB2": ("B-PER", "O", "B-LOC", "I-LOC"),
        "IOBES": ("S-PER", "O", "B-LOC", "E-LOC"),
        "BILOU": ("U-PER", "O", "B-LOC", "L-LOC"),
    }.items():
        words = ("{}", "saw", "New", "York")
        lines = tuple(f"{word}\t{tag}" for word, tag in zip(words, tags, strict=True))
        path = sentences(folder, f"{scheme}.conll", lines)
        outcome = command("data", path, "--task", "tag")
        assert f"tags of spans: {scheme}" in outcome.out, outcome
        assert "inconsistent" not in outcome.out, outcome
    outcome = command("train", path, "--task", "tag", "--out", folder / "run", *TINY[:-1])
    assert "tags of spans: BILOU" in outcome.err, outcome
    outcome = command("data", sentences(folder, "pos.conll", ("{} NOUN", "runs VERB")), "--task", "tag")
    assert "tags of spans" not in outcome.out


@case("C")
def inconsistent_schemes(folder: Path) -> None:
    """Tags that break their scheme, or mix several, are an issue with lines, of data and of train"""
    path = sentences(folder, "a.conll", BIO)
    path.write_text(path.read_text() + "\nin IN O O\nOslo NNP I-NP I-LOC\n\nin IN O O\n")
    outcome = command("data", path, "--task", "tag")
    assert "inconsistent tags: 1 word has a tag that breaks IOB2" in outcome.out, outcome
    assert "a.conll, line 242: in/O Oslo/I-LOC" in outcome.out, outcome
    outcome = command("train", path, "--task", "tag", "--out", folder / "run", *TINY[:-1])
    assert "inconsistent tags" in outcome.err, outcome
    path = sentences(folder, "b.conll", ("{} B-PER", "saw O", "New B-LOC", "York LOC"))
    outcome = command("data", path, "--task", "tag")
    assert 'mixed tags: most tags are those of spans in IOB2, and others are not: "LOC"' in outcome.out, outcome
    assert re.search(r"b\.conll, line \d+: New/B-LOC York/LOC", outcome.out), outcome
    path = sentences(folder, "c.conll", ("{} B-PER", "saw O", "New B-LOC", "York I-LOC", "and O", "Rome B-LOC"))
    path.write_text(path.read_text().replace("B-PER", "S-PER"))
    assert "inconsistent tags" in command("data", path, "--task", "tag").out


@case("C")
def varying_columns(folder: Path) -> None:
    """Lines with another number of columns are all named with their line; the rest is reported"""
    path = sentences(folder, "a.conll", BIO)
    path.write_text(path.read_text() + "\n" + "\n\n".join(["one two three"] * 7) + "\n\nxx NN I-NP O extra\n")
    outcome = command("data", path, "--task", "tag")
    assert outcome.code == 2, outcome
    assert "7 skipped: too few fields\n    line 241: one two three" in outcome.out, outcome
    assert "… and 2 more" in outcome.out
    assert "1 skipped: too many fields\n    line 255" in outcome.out
    assert "sentences                                   3" in outcome.out
    assert command("data", path, "--task", "tag", "--on-bad-row", "skip").code == 0
    assert "line 241" in command("train", path, "--task", "tag", "--out", folder / "run", *TINY).err


@case("C")
def columns_are_named_by_one_flag(folder: Path) -> None:
    """--label names a column of CoNLL-U, --column a number elsewhere; the other one, or a missing number, is refused"""
    path = sentences(folder, "a.conll", C2003)
    for flags, words in (
        (("--label", "XPOS"), "--column"),
        (("--column", "9"), "columns 2 to 4"),
        (("--column", "1"), "the first is the word"),
    ):
        outcome = command("data", path, "--task", "tag", *flags)
        assert outcome.code == 2, outcome
        assert words in outcome.err, outcome
    outcome = command("data", path, "--column", "3")
    assert outcome.code == 2


@case("C")
def words_with_no_break_spaces(folder: Path) -> None:
    """A word with U+00A0 is one word in every format of tagged words"""
    for between in (" ", "\t"):
        lines = tuple(line.replace(" ", between) for line in ("{} O", "10\u00a0000 B-NUM"))
        (first, *_) = load_sentences(sentences(folder, "a.conll", lines), from_flat({"task": "tag"}).data).items
        assert first.words[1] == "10\u00a0000"


@case("C")
def comments_and_metadata(folder: Path) -> None:
    """Lines such as "# id 5239 domain=en" before a sentence are no words; a word # is one"""
    path = sentences(folder, "a.conll", ("# id {}\tdomain=en", "{} _ _ B-PER", "# _ _ O"))
    found = load_sentences(path, from_flat({"task": "tag"}).data)
    assert found.items[0].words == ("Anna0", "#")
    assert len(found) == 40


@case("C")
def a_folder_of_conll_files(folder: Path) -> None:
    """A folder with train.txt, valid.txt and test.txt is answered with the flags that name them, which work"""
    for name in ("train", "valid", "test"):
        sentences(folder, f"{name}.txt", C2003)
    outcome = command("data", folder, "--task", "tag")
    assert outcome.code == 2, outcome
    flags = outcome.err.rpartition("with ")[2].split()
    outcome = command("data", folder / "train.txt", "--task", "tag", *flags)
    assert outcome.code == 0, outcome
    assert "valid is " in outcome.out


@case("C")
def tags_in_one_form(folder: Path) -> None:
    """--strip-labels and --fold-labels bring tags to one form, recorded with the run"""
    path = sentences(folder, "a.tsv", ("{}\t noun ", "runs\tVERB", "dogs\tNOUN", "run\tverb"))
    assert "similar labels" in command("data", path, "--task", "tag").out
    flags = ("--strip-labels", "--fold-labels")
    outcome = command("data", path, "--task", "tag", *flags)
    assert "similar labels" not in outcome.out, outcome
    run = unrolled.train(path, task="tag", strip_labels=True, fold_labels=True, updates=1, hidden_size=4)
    assert run.labels == ("NOUN", "VERB")
    assert run.evaluate(path).words == 160
    with pytest.raises(UnrolledError, match="not one of the 2 labels"):
        run.evaluate([(["a"], ["adj"])])
