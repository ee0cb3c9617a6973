"""A finished comparison: its results, and their forms: a text for the terminal, Markdown, HTML, JSON."""

from __future__ import annotations

import json
import textwrap
from html import escape
from importlib.resources import files
from pathlib import Path
from string import Template
from typing import Any

from unrolled.comparison.report.charts import NARROW, WIDE, charts
from unrolled.comparison.report.figures import unit_of
from unrolled.comparison.report.tables import Table, escaped, tables
from unrolled.comparison.report.verdict import verdict
from unrolled.display import Displayed
from unrolled.errors import printable
from unrolled.evaluation import tables as plain
from unrolled.runs.folder import to_json

__all__ = ["Comparison"]

IN_TEXT = ("Quality", "Differences", "Search")


class Comparison(Displayed):
    """The results of a comparison.

    Args:
        found: the results as JSON values, see `results`.
        folder: folder of the comparison.
    """

    def __init__(self, found: dict[str, Any], folder: Path) -> None:
        self._found, self.folder = found, folder

    @property
    def best(self) -> str | None:
        """The label of the model with the best mean; None: no training ended with a figure."""
        best: str | None = self._found["best"]
        return best

    @property
    def verdict(self) -> list[str]:
        """The verdict, in at most three sentences."""
        return verdict(self._found)

    def to_dict(self) -> dict[str, Any]:
        """Return the results as JSON values."""
        copied: dict[str, Any] = json.loads(json.dumps(self._found))
        return copied

    def text(self) -> str:
        """Return the most important tables for a terminal, 80 columns wide."""
        lines = [line for sentence in self.verdict for line in textwrap.wrap(sentence, plain.WIDTH)] + [""]
        for each in tables(self._found):
            if each.title in IN_TEXT:
                lines += [each.title, *plain.table(_narrowed(each)), ""]
        return "\n".join(lines)

    def rendered(self, kind: str) -> str:
        """Return the report as "json", "md" or "html"."""
        return {"json": self._json, "md": self._markdown, "html": self._html}[kind]()

    def _json(self) -> str:
        return to_json(self._found).decode()

    def _markdown(self) -> str:
        lines = [f"# {self._title}", "", *self.verdict, ""]
        for each in tables(self._found):
            lines += [f"## {each.title}", ""]
            header, *rows = escaped(each.rows)
            rule = ["---", *["---:"] * (len(header) - 1)]
            lines += [f"| {' | '.join(row)} |" for row in (header, rule, *rows)]
            lines += ["", *([each.note, ""] if each.note else [])]
        return "\n".join(lines)

    def _html(self) -> str:
        drawn = zip(charts(self._found, WIDE), charts(self._found, NARROW), strict=True)
        figures = "\n".join(
            f'<figure><div class="wide">{wide}</div><div class="narrow">{narrow}</div></figure>'
            for wide, narrow in drawn
        )
        style = files(__package__).joinpath("report.css").read_text(encoding="utf-8")
        page = files(__package__).joinpath("report.html").read_text(encoding="utf-8")
        first, *others = tables(self._found)
        return Template(page).substitute(
            title=escape(printable(self._title)),
            style=style,
            verdict="\n".join(f"<p>{escape(printable(sentence))}</p>" for sentence in self.verdict),
            quality=_html_table(first),
            figures=figures,
            tables="\n".join(map(_html_table, others)),
        )

    @property
    def _title(self) -> str:
        found = self._found
        return f"{found['data']['name']}: {', '.join(each['label'] for each in found['models'])}"

    def _display(self) -> dict[str, object]:
        unit = unit_of(self._found["figure"])
        return {
            "best": self.best,
            "verdict": " ".join(self.verdict),
            "models": {
                each["label"]: {unit.name: each["mean"], "parameters": each["parameters"], "updates": each["updates"]}
                for each in self._found["models"]
            },
        }


def _narrowed(table: Table) -> list[list[str]]:
    """Return the rows of a table for a terminal, without the column that it can spare where all would not fit."""
    width = sum(max(len(row[k]) for row in table.rows) + 2 for k in range(1, len(table.rows[0])))
    if width <= plain.WIDTH - 24:
        return table.rows
    spare = table.spare % len(table.rows[0])
    return [[cell for k, cell in enumerate(row) if k != spare] for row in table.rows]


def _html_table(table: Table) -> str:
    header, *rows = ([escape(printable(cell)) for cell in row] for row in table.rows)
    head = "".join(f"<th>{cell}</th>" for cell in header)
    body = "\n".join(
        "<tr>"
        + "".join(f'<td data-name="{name}">{cell}</td>' for name, cell in zip(header, row, strict=True))
        + "</tr>"
        for row in rows
    )
    note = f"<p class=note>{escape(printable(table.note))}</p>" if table.note else ""
    kind = " class=texts" if "disagree" in table.title else ""
    return (
        f"<section><h2>{escape(table.title)}</h2>\n<div class=scroll><table{kind}><thead><tr>{head}</tr></thead>\n"
        f"<tbody>{body}</tbody></table></div>\n{note}</section>"
    )
