"""Headers, columns and quotes of tables: nothing that is read is dropped or merged without being counted and said."""

from __future__ import annotations

from pathlib import Path

import pandas
import pytest

import unrolled
from strangers.cases import FILES, case
from strangers.commands import SMALL, command, conllu, reviews, table
from unrolled.errors import DataError


@case("A")
def no_header_is_recognised(folder: Path) -> None:
    """A file without a header is said to have none, by data, train and evaluate, with a remedy that works"""
    path = FILES / "06-no-header.csv"
    rows = len(path.read_text().splitlines())
    outcome = command("data", path)
    assert outcome.code == 2
    assert "seems to have no header" in outcome.out
    assert 'likely: --no-header --text "1" --label "2"' in outcome.out, outcome.out
    outcome = command("data", path, "--text", path.read_text().split('"')[1], "--label", "poor")
    assert "no header" in outcome.out, outcome.out
    outcome = command(
        "train", path, "--text", path.read_text().split('"')[1], "--label", "poor", "--out", folder / "lost", *SMALL
    )
    assert "seems to have no header" in outcome.err, outcome
    outcome = command("train", path, "--out", folder / "run", *SMALL)
    assert outcome.code == 2
    assert "seems to have no header" in outcome.err
    assert "--no-header" in outcome.err
    outcome = command("data", path, "--no-header", "--text", "1", "--label", "2")
    assert f"{rows} rows read = {rows} used" in outcome.out, outcome.out
    assert "seems to have no header" not in outcome.out


@case("A")
def no_header_is_recorded(folder: Path) -> None:
    """A run that was trained without a header is evaluated, and decodes files, without one"""
    path = table(folder / "a.csv", reviews(60), header=None)
    outcome = command("train", path, "--no-header", "--text", "1", "--label", "2", "--out", folder / "run", *SMALL)
    assert outcome.code == 0, outcome
    assert command("evaluate", folder / "run").code == 0
    outcome = command("evaluate", folder / "run", path)
    assert outcome.code == 0, outcome
    assert "60 rows read = 60 used" in outcome.err
    outcome = command("decode", folder / "run", "--file", path)
    assert len(outcome.out.splitlines()) == 60, outcome
    headed = table(folder / "b.csv", reviews(10))
    outcome = command("evaluate", folder / "run", headed, "--header", "--text", "text", "--label", "label")
    assert "10 rows read = 10 used" in outcome.err, outcome


@case("A")
def no_header_of_other_kinds(folder: Path) -> None:
    """Numbers in the first row, pairs of sentences, a label first, tabs: each is recognised; good headers are not"""
    lines = {
        "label-first.csv": "good,the garden was warm\nbad,the garden was cold\n" * 9,
        "numbers.tsv": "3\ta warm plain garden\n1\ta cold one\n2\tsome words\n5\tmore words here\n",
    }
    for name, text in lines.items():
        (folder / name).write_text(text)
        outcome = command("data", folder / name)
        assert "seems to have no header" in outcome.out, (name, outcome)
    (folder / "pairs.tsv").write_text("Go on.\tVas-y.\nI see him.\tJe le vois.\nWe won.\tOn a gagné.\n")
    outcome = command("data", folder / "pairs.tsv", "--task", "translate")
    assert "seems to have no header" in outcome.out, outcome
    for header in ("review,stars", "0,1", "1,2", "What do you think of it?,answer"):
        table(folder / "fine.csv", reviews(), header=header)
        assert "seems to have no header" not in command("data", folder / "fine.csv").out, header


@case("A")
def joined_files_repeat_the_header(folder: Path) -> None:
    """The header of a second file within a joined one is a bad row, not an example"""
    path = table(folder / "a.csv", [*reviews(20), ("text", "label"), *reviews(40)[20:]])
    outcome = command("data", path)
    assert outcome.code == 2
    assert "line 22: the row repeats the header" in outcome.out, outcome
    assert "1 repeated header" in command("data", path, "--on-bad-row", "skip").out


@case("A")
def quotes_that_are_kept(folder: Path) -> None:
    """Quotes that are read as characters, in TSV or after a space in CSV, are said"""
    (folder / "a.tsv").write_text("text\tlabel\n" + "".join(f'"{text}"\t{label}\n' for text, label in reviews()))
    assert '40 of the first 40 values in column "text"' in command("data", folder / "a.tsv").out
    (folder / "b.csv").write_text("text,label\n" + "".join(f'{text}, "{label}"\n' for text, label in reviews()))
    assert '40 of the first 40 values in column "label"' in command("data", folder / "b.csv").out
    (folder / "c.tsv").write_text("text\tlabel\n" + "".join(f'"{t}" he said\t{label}\n' for t, label in reviews()))
    assert "are in quotes" not in command("data", folder / "c.tsv").out


@case("A")
def tags_that_are_none(folder: Path) -> None:
    """The tag _ of CoNLL-U, a header over two columns, and words with a space are said"""
    path = conllu(folder / "a.conllu", ["10 000", "b", "c"])
    path.write_text(path.read_text().replace("\tVERB\t_\t", "\tVERB\tx\t"))
    outcome = command("data", path, "--task", "tag", "--label", "XPOS")
    assert "missing tags: 60 words" in outcome.out, outcome
    assert "30 words of" in outcome.out
    lines = "".join(f"a\tDET\ncat\tNOUN\nno{i}\tNUM\n\n" for i in range(40))
    (folder / "b.tsv").write_text(f"token\tlabel\n{lines}")
    outcome = command("data", folder / "b.tsv", "--task", "tag", "--on-bad-row", "skip")
    assert "seems to be a header" in outcome.out, outcome


@case("A")
def columns_that_are_no_lists(folder: Path) -> None:
    """A text or a set in place of a list of values is refused; columns of a data frame may be numbers"""
    numbered = pandas.DataFrame(reviews(), columns=[0, 1])
    assert unrolled.inspect(numbered, text="0", label="1").splits["train"].rows > 20
    with pytest.raises(DataError, match='the columns are "0", "1"'):
        unrolled.inspect(numbered)
    for values in ("abc", {"a", "b", "c"}, {"a": 1, "b": 2, "c": 3}):
        with pytest.raises(DataError, match="give a list"):
            unrolled.inspect({"text": values, "label": ["x", "y", "z"]})
