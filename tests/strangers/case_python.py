"""Python as strangers write it: in editors, in notebooks, and with types."""

from __future__ import annotations

import inspect
import typing
from pathlib import Path

import unrolled
from strangers.case_files import command
from strangers.cases import case
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
