"""Numbers with a decimal comma, as spreadsheets of German, French, Spanish, … write them."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import unrolled
from strangers.cases import case
from strangers.commands import SMALL, command, reviews
from unrolled.config import DataConfig
from unrolled.data.examples.numbers import load_numbers, numbers_of

REGRESS = ("--task", "regress")


def excel(path: Path, decimal: str = ",", *more: str) -> Path:
    """Write a table with semicolons, as Excel exports it where the comma separates decimals."""
    rows = [f"{text};{i // 4}{decimal}{25 * (i % 4):02d}" for i, (text, _) in enumerate(reviews(60))]
    path.write_bytes(("\ufeffText;Note\r\n" + "\r\n".join([*rows, *more]) + "\r\n").encode())
    return path


@case("C")
def numbers_with_a_decimal_comma(folder: Path) -> None:
    """Text;Note with 0,25: data gives the flags, the message of train the flag, and with it numbers are read"""
    path = excel(folder / "a.csv")
    likely = re.search("likely: (.*)", command("data", path, *REGRESS).out)
    assert likely
    flags = (*REGRESS, *shlex.split(likely[1]))
    assert flags[2:] == ("--text", "Text", "--label", "Note", "--decimal", ",")
    outcome = command("train", path, *flags[:-2], "--out", folder / "run", *SMALL)
    assert 'got "0,00"; add --decimal , if the comma separates decimals' in outcome.err, outcome
    outcome = command("train", path, *flags, "--out", folder / "run", *SMALL)
    assert outcome.code == 0, outcome
    assert command("evaluate", folder / "run", path).code == 0
    points = excel(folder / "b.csv", ".")
    assert command("evaluate", folder / "run", points, "--decimal", ".").code == 0
    config = DataConfig(text="Text", label="Note", decimal=",")
    assert numbers_of(load_numbers(path, config)).tolist() == [i / 4 for i in range(60)]
    assert unrolled.inspect(path, task="regress", text="Text", label="Note", decimal=",").to_dict()["mean"] > 0


@case("C")
def points_under_a_decimal_comma(folder: Path) -> None:
    """1.234,5 and 1.234 are not guessed where a comma separates decimals: each has a remedy that is followed"""
    flags = (*REGRESS, "--text", "Text", "--label", "Note", "--decimal", ",")
    for number, remedy in (("1.234,5", "write 1234,5 if the point"), ("1.234", "write 1234 if the point")):
        path = excel(folder / "a.csv", ",", f"last;{number}")
        outcome = command("data", path, *flags)
        assert outcome.code == 2, outcome
        assert remedy in outcome.out, outcome
        path.write_text(path.read_text().replace(number, remedy.split()[1]))
        assert command("data", path, *flags).code == 0
    outcome = command("data", excel(folder / "b.csv", "."), *flags)
    assert "remove --decimal , if it separates decimals" in outcome.out, outcome
    assert command("data", folder / "b.csv", *flags[:-2]).code == 0


@case("C")
def classes_that_are_numbers_with_commas(folder: Path) -> None:
    """For task classify, many labels as 3,75 are named as numbers, with the flags that predict them"""
    outcome = command("data", excel(folder / "a.csv"), "--text", "Text", "--label", "Note", "--on-bad-row", "skip")
    assert "numbers as labels" in outcome.out, outcome
    assert "predict numbers with --task regress --decimal ," in outcome.out
