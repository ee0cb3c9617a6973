"""The site shows NAME_narrow.svg on narrow screens where it stands beside NAME.svg."""

import sys
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[1] / "docs"


def test_every_drawing_of_the_lineage_has_a_narrow_form() -> None:
    drawings = {each.stem for each in (DOCS / "pictures" / "lineage").glob("*.svg")}
    wide = {name for name in drawings if not name.endswith("_narrow")}
    assert drawings == wide | {f"{name}_narrow" for name in wide}


def test_the_site_names_both_drawings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    application = pytest.importorskip("sphinx.application")
    monkeypatch.syspath_prepend(str(DOCS / "_ext"))
    for name in ("one.svg", "one_narrow.svg", "two.svg"):
        (tmp_path / name).write_text('<svg xmlns="http://www.w3.org/2000/svg"/>')
    (tmp_path / "index.rst").write_text(".. image:: one.svg\n\n.. image:: two.svg\n")
    (tmp_path / "conf.py").write_text('extensions = ["narrow"]\n')
    out = tmp_path / "site"
    application.Sphinx(tmp_path, tmp_path, out, tmp_path / "trees", "html", status=None, warning=sys.stderr).build()
    html = (out / "index.html").read_text()
    assert (
        '<picture><source media="(max-width: 600px)" srcset="_images/one_narrow.svg"><img alt="_images/one.svg"' in html
    )
    assert html.count("<picture>") == 1
    assert (out / "_images" / "one_narrow.svg").is_file()
