"""Exports of other tools: read, or refused with a command that is run here as it stands."""

from __future__ import annotations

import csv
import json
import os
import re
import shlex
import subprocess
from pathlib import Path

from strangers.cases import case
from strangers.commands import SMALL, command, reviews, table
from unrolled.config import DataConfig
from unrolled.data.examples.label_sets import load_label_sets
from unrolled.data.examples.labelled import load_examples


def follow(message: str, tool: str) -> None:
    """Run the command of a message that begins with `tool`."""
    found = re.search(rf"{tool} .*?(?=, or skip|$)", message, re.M)
    assert found, message
    subprocess.run(found[0], shell=True, check=True)


def objects(path: Path, *items: object) -> Path:
    """Write JSON lines."""
    path.write_text("".join(json.dumps(item) + "\n" for item in items))
    return path


@case("C")
def lines_of_fasttext(folder: Path) -> None:
    """__label__x text, in .txt or any other ending, with one label or several"""
    for name in ("a.txt", "cooking.train", "noending"):
        path = folder / name
        path.write_text("".join(f"__label__{label} {text}\n" for text, label in reviews(60)))
        outcome = command("data", path)
        assert outcome.code == 0, outcome
        assert "lines of fastText" in outcome.out, outcome
        first = load_examples(path, DataConfig()).items[0]
        assert first[:2] == ("the warm garden was warm number 0", "good"), first
    outcome = command("train", folder / "a.txt", "--out", folder / "run", *SMALL)
    assert outcome.code == 0, outcome
    assert len(command("decode", folder / "run", "--file", folder / "a.txt").out.splitlines()) == 60
    several = folder / "several.txt"
    several.write_text("__label__a __label__b one text\n__label__b another\nno label at all\n")
    outcome = command("data", several)
    assert outcome.code == 2, outcome
    assert "--multi-label" in outcome.out
    assert "1 no label" in outcome.out
    sets = load_label_sets(several, DataConfig(multi_label=True))
    assert list(sets.labels()) == ['["a", "b"]', '["b"]', "[]"]  # without a label is a set, too


@case("C")
def items_of_lists(folder: Path) -> None:
    """Label Studio, chats and prodigy: messages.0.content, accept.0"""
    chats = objects(
        folder / "chat.jsonl",
        *({"messages": [{"role": "user", "content": text}, {"content": label}]} for text, label in reviews(60)),
    )
    assert "messages.0.content" in command("data", chats).out
    assert command("data", chats, "--text", "messages.0.content", "--label", "messages.1.content").code == 0
    accepted = objects(folder / "prodigy.jsonl", *({"text": text, "accept": [label]} for text, label in reviews(60)))
    assert command("data", accepted, "--label", "accept.0").code == 0
    outcome = command("data", accepted, "--label", "accept")
    assert "--multi-label" in outcome.out, outcome
    assert command("data", accepted, "--label", "accept", "--multi-label").code == 0


@case("C")
def json_that_a_command_mends(folder: Path) -> None:
    """JSON over several lines, Python's dicts, objects of splits: the command in the message writes JSON lines"""
    rows = [{"text": text, "label": label} for text, label in reviews(60)]
    (folder / "pretty.jsonl").write_text("".join(json.dumps(row, indent=2) + "\n" for row in rows))
    (folder / "python.jsonl").write_text("".join(f"{row}\n" for row in rows))
    for name, tool in (("pretty", "jq"), ("python", "python -c")):
        outcome = command("data", folder / f"{name}.jsonl")
        assert outcome.code == 2, outcome
        follow(outcome.err, tool)
        assert command("data", folder / f"{name}.lines.jsonl").code == 0, name
    whole = {"clinc": {"val": [["x", "y"]], "train": reviews(60)}, "nested": {"version": [1], "data": rows}}
    for name, value in whole.items():
        (folder / f"{name}.json").write_text(json.dumps(value))
        follow(command("data", folder / f"{name}.json").err, "jq")
        assert "60 rows read = 60 used" in command("data", folder / f"{name}.jsonl").out, name
    frame = {"columns": ["text", "label"], "index": list(range(60)), "data": reviews(60)}
    (folder / "split.json").write_text(json.dumps(frame))
    assert command("data", folder / "split.json").code == 0


@case("C")
def a_report_goes_on_after_a_bad_first_line(folder: Path) -> None:
    """JSON lines whose first line is bad are reported on like others, also with numbers and several labels"""
    rows = [{"text": text, "label": label} for text, label in reviews(60, ("1", "2"))]
    path = objects(folder / "a.jsonl", *rows)
    path.write_text('{"text": "x", "label": NaN}\n' + path.read_text() + "{}\n")
    for flags in ((), ("--multi-label",), ("--task", "regress")):
        outcome = command("data", path, *flags)
        assert outcome.code == 2, outcome
        assert "62 rows read = 60 used + 2 skipped" in outcome.out, outcome


@case("C")
def tagged_words_as_json(folder: Path) -> None:
    """Lists of tokens and tags in JSON, and CoNLL files of other names: the command in the message makes a .conll"""
    items = [{"id": i, "tokens": ["EU", f"w{i}"], "ner_tags": [3, 0]} for i in range(40)]
    objects(folder / "a.jsonl", *items)
    (folder / "b.json").write_text(json.dumps(items))
    for path in (folder / "a.jsonl", folder / "b.json"):
        follow(command("data", path, "--task", "tag").err, "jq")
        assert "40 sentences read = 40 used" in command("data", path.with_suffix(".conll"), "--task", "tag").out
    (folder / "eng.testa").write_text("".join(f"EU B-ORG\nw{i} O\n\n" for i in range(40)))
    follow(command("data", folder / "eng.testa", "--task", "tag").err, "mv")
    assert command("data", folder / "eng.testa.conll", "--task", "tag").code == 0
    outcome = command("data", folder / "eng.testa.conll")
    assert "add --task tag" in outcome.err, outcome


@case("C")
def tables_of_tagged_words(folder: Path) -> None:
    """Kaggle's Sentence #,Word,POS,Tag: sentence numbers once or in every row: a command makes a .conll"""
    words = (("Thousands", "NNS", "O"), ('"London, \u201cUK\u201d"', "NNP", "B-geo"), ('"a ""quote"""', "NN", "O"))
    for number, name in enumerate(("first", "every")):
        lines = ["Sentence #,Word,POS,Tag"]
        for i in range(40):
            for k, (word, pos, tag) in enumerate((*words, (f"n{i}", "CD", "O"))):
                lines.append(f"{f'Sentence: {i}' if number or not k else ''},{word},{pos},{tag}")
        path = folder / f"{name} ner.csv"
        path.write_text("\n".join(lines) + "\n", encoding="cp1252")
        follow(command("data", path, "--task", "tag").err, "iconv")
        follow(command("data", folder / f"{name} ner.utf8.csv", "--task", "tag").err, "python -c")
        made = folder / f"{name} ner.utf8.conll"
        outcome = command("data", made, "--task", "tag")
        assert "40 sentences read = 40 used" in outcome.out, outcome
        assert made.read_text().split("\n\n")[3].endswith('London, \u201cUK\u201d\tB-geo\na "quote"\tO\nn3\tO'), made
    plain = table(folder / "plain.csv", [("EU", "B-ORG")], header="word,tag")
    assert "a blank line after each sentence" in command("data", plain, "--task", "tag").err


@case("C")
def names_of_columns_with_invisible_characters(folder: Path) -> None:
    """A second byte order mark, or a space without a width, around a name in a header is ignored"""
    for header in ("\ufeff\ufefftext,label", "text,label\u200b"):
        assert command("data", table(folder / "a.csv", reviews(60), header=header)).code == 0, header


@case("C")
def files_that_are_none(folder: Path) -> None:
    """A link to nothing, a page of HTML, an empty name, a folder of tables, a memory of translations"""
    (folder / "link.csv").symlink_to(folder / "gone.csv")
    (folder / "page.csv").write_text("\n<!DOCTYPE html>\n<html></html>\n")
    (folder / "a.tmx").write_text("<?xml version='1.0'?>\n")
    tables = folder / "tables"
    tables.mkdir()
    table(tables / "one.csv", reviews(60))
    assert f"is a link to {folder / 'gone.csv'}" in command("data", folder / "link.csv").err
    assert "is a page of HTML" in command("data", folder / "page.csv").err
    assert "the name of the data is empty" in command("data", "").err
    assert "translations with markup" in command("data", folder / "a.tmx", "--task", "translate").err
    assert command("data", tables).code == 0  # its files are shards of one table


@case("C")
def separators_that_nobody_guesses(folder: Path) -> None:
    """With one column nothing is proposed that ends nowhere; a header that is not UTF-8 cannot be skipped"""
    path = folder / "a.csv"
    path.write_text("text~label\n" + "".join(f"{text}~{label}\n" for text, label in reviews(60)))
    assert "likely" not in command("data", path).out
    assert command("data", path, "--separator", "~").code == 0
    path.write_bytes("Texte;\u00c9tiquette\n".encode("latin-1"))
    outcome = command("data", path)
    assert "--on-bad-row" not in outcome.err, outcome
    assert shlex.quote(os.fspath(path)) in outcome.err


@case("C")
def texts_encoded_twice(folder: Path) -> None:
    """naïve as UTF-8 read as Windows-1252: data names it and the command that mends it; French is as it is"""
    right = [
        (f"{text}: na\u00efve \u201ccaf\u00e9\u201d \u2013 it\u2019s 5 \u20ac \U0001f600", label)
        for text, label in reviews(60)
    ]
    for codec in ("latin-1", "cp1252"):  # of which the second has no character for some bytes
        twice = [("".join(_character(byte, codec) for byte in text.encode()), label) for text, label in right]
        path = table(folder / f"{codec}.csv", twice)
        outcome = command("data", path)
        assert "encoded twice: 60 texts" in outcome.out, outcome
        assert f"{path}, line 2" in outcome.out
        follow(outcome.out, "python -c")
        assert [item[:2] for item in load_examples(folder / f"{codec}.once.csv", DataConfig()).items] == right
    french = [(f"\u00ab\u00a0voil\u00e0\u00a0\u00bb NA\u00cfVE \u00c0 {text}", label) for text, label in reviews(60)]
    assert "encoded twice" not in command("data", table(folder / "right.csv", french)).out


def _character(byte: int, codec: str) -> str:
    """Return a byte as programs read it that let no byte be an error."""
    return bytes([byte]).decode("latin-1" if byte in b"\x81\x8d\x8f\x90\x9d" else codec)


@case("C")
def texts_with_html(folder: Path) -> None:
    """IMDB's <br />, &amp; and &quot; in CSV and JSON lines: data names them and the command that removes them"""
    html = [(f'{text}<br /><a href="x">R&amp;B</a> &quot;a&quot;, 1 &lt; 2&#10;', label) for text, label in reviews(60)]
    plain = [(f"{text}  R&B  'a', 1 < 2 ", label) for text, label in reviews(60)]
    with (folder / "a.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("text", "label"), *html])
    objects(folder / "a.jsonl", *({"text": text, "label": label} for text, label in html))
    for name in ("csv", "jsonl"):
        outcome = command("data", folder / f"a.{name}")
        assert "HTML: 60 texts" in outcome.out, outcome
        follow(outcome.out, "python -c")
        made = folder / f"a.plain.{name}"
        assert [item[:2] for item in load_examples(made, DataConfig()).items] == plain, name
        assert "HTML" not in command("data", made).out
    few = [*reviews(200), ("one of R&amp;B", "good")]
    assert "HTML" not in command("data", table(folder / "few.csv", few)).out


@case("C")
def lines_of_other_tools(folder: Path) -> None:
    """TREC's LABEL text, word/TAG or word_TAG, source ||| target: refused with the command that writes what is read"""
    trec = [f"{('DESC:manner', 'NUM:date', '1')[i % 3]} How did it : {i} ?" for i in range(60)]
    (folder / "trec.txt").write_text("\n".join(trec) + "\n\n")
    follow(command("data", folder / "trec.txt").err, "awk")
    first = load_examples(folder / "trec.tsv", DataConfig()).items[0]
    assert first[:2] == ("How did it : 0 ?", "DESC:manner")
    assert command("data", folder / "trec.tsv").code == 0
    for joint in "/_":
        path = folder / f"brown{ord(joint)}.txt"
        path.write_text("".join(f"The{joint}DT 1{joint}{i}{joint}CD .{joint}.\n\n" for i in range(40)))
        follow(command("data", path, "--task", "tag").err, "awk")
        assert path.with_suffix(".conll").read_text().startswith(f"The\tDT\n1{joint}0\tCD\n.\t.\n\n")
        outcome = command("data", path.with_suffix(".conll"), "--task", "tag")
        assert "40 sentences read = 40 used" in outcome.out, outcome
    (folder / "fast.txt").write_text("".join(f"ein haus {i} ||| a house {i}\n" for i in range(40)))
    follow(command("data", folder / "fast.txt", "--task", "translate").err, "awk")
    outcome = command("data", folder / "fast.pairs.txt", "--task", "translate")
    assert "40 pairs read = 40 used" in outcome.out, outcome
    prose = "".join(f"word{i} and others\n" for i in range(40))
    (folder / "prose.txt").write_text(prose)
    assert "awk" not in command("data", folder / "prose.txt").err
