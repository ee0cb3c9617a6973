"""Python as strangers write it: in editors, in notebooks, and with types."""

from __future__ import annotations

import inspect
import typing
from pathlib import Path

import unrolled
from strangers.cases import case
from strangers.commands import command
from unrolled import api, keywords
from unrolled.config import fields


@case("E")
def settings_are_typed(folder: Path) -> None:
    """`train`, `resume` and `inspect` take settings as an unpacked TypedDict with every flat name"""
    for verb in (api.train, api.resume, api.inspect):
        assert inspect.signature(verb).parameters["settings"].annotation == "Unpack[Settings]"
    assert api.Settings is keywords.Settings
    assert {flat for _, _, flat, _ in fields()} == set(typing.get_type_hints(keywords.Settings))


@case("E")
def a_star_import_brings_the_verbs(folder: Path) -> None:
    """`from unrolled import *` brings the verbs and `nn`, and nothing that only the package itself uses"""
    here: dict[str, object] = {}
    exec("from unrolled import *", here)
    assert {"train", "decode", "evaluate", "nn"} <= set(here)
    assert not {"importlib", "Any", "annotations"} & set(here)
    assert not {"importlib", "Any", "annotations"} & set(dir(unrolled))


@case("E")
def threads_are_a_flag_of_every_verb(folder: Path) -> None:
    """`--threads` of evaluate, decode and explain is refused beyond the bounds of train, before a run is read"""
    for verb in ("evaluate", "decode", "explain"):
        outcome = command(verb, folder / "missing", "a text", "--threads", 100_000)
        assert outcome.code == 2
        assert "no processor has more cores" in outcome.err


@case("E")
def a_notebook_shows_tables(folder: Path) -> None:
    """A data report, a run, its result and its answers are tables in a notebook and a line at the prompt"""
    data = [(f"<b>text {i}</b> & more", "<i>one" if i % 2 else "two") for i in range(40)]
    run = unrolled.train(data, updates=2, hidden_size=4, embedding_size=4, min_frequency=1, threads=1)
    for shown in (unrolled.inspect(data), run, run.test, run.decode(["<b>text 1</b>"])):
        html = shown._repr_html_()
        assert "<table>" in html
        assert "<script" not in html
        assert "<b>" not in html
        assert "<i>" not in html
        assert "\n" not in repr(shown)
        assert len(repr(shown)) < 200
