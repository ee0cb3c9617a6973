"""The site shows NAME_narrow.svg on narrow screens where it stands beside NAME.svg."""

import re
import sys
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[1] / "docs"


@pytest.mark.parametrize("folder", [DOCS / "pictures", DOCS / "pictures" / "lineage"], ids=lambda path: path.name)
def test_every_drawing_has_a_narrow_form(folder: Path) -> None:
    drawings = {each.stem for each in folder.glob("*.svg")}
    wide = {name for name in drawings if not name.endswith("_narrow")}
    assert drawings == wide | {f"{name}_narrow" for name in wide}


def test_the_site_has_room_for_every_drawing_unscaled() -> None:
    style = (DOCS / "_static" / "site.css").read_text()
    bleed, narrow_bleed = (16 * float(each) for each in re.findall(r"--bleed: ([\d.]+)rem", style))
    for each in (DOCS / "pictures").rglob("*.svg"):
        width = float(re.search(r'width="([\d.]+)"', each.read_text())[1])
        text, margin = (360 - 32, narrow_bleed) if each.stem.endswith("_narrow") else (46 * 16, bleed)  # of the theme
        assert width <= text + 2 * margin, each.name


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
