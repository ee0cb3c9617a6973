"""The types of keyword arguments: as the schemas have them, and as a type checker of a user sees them."""

import sys
import typing
from pathlib import Path

import pytest
from mypy import api as mypy

import unrolled
from unrolled import keywords
from unrolled.config import fields

ROOT = Path(unrolled.__file__).parents[2]
BELOW = [
    "cells",
    "scan",
    "runs",
    "config",
    "machine",
    "models",
    "data",
    "inside",
    "training",
    "tasks",
    "layers",
    "laws",
    "nn",
]
"""Parts below the API, of which a checker of its calls needs to know nothing; with them it takes ten times as long."""


def test_the_file_is_as_the_schemas_say(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(ROOT / "tools")
    import keywords as writer

    assert writer.FILE.read_text(encoding="utf-8") == writer.source(), "run python tools/keywords.py"


def test_every_setting_is_typed() -> None:
    types = typing.get_type_hints(keywords.Settings)
    assert list(types) == [flat for _, _, flat, _ in fields()]
    assert types["hidden_size"] is int
    assert types["threads"] == int | None
    assert set(typing.get_args(types["model"])) >= {"gru", "gpt"}
    assert not keywords.Settings.__required_keys__


def test_the_package_says_that_it_is_typed() -> None:
    assert Path(unrolled.__file__).with_name("py.typed").is_file()


def checked(folder: Path, source: str) -> list[str]:
    """The errors of a user's file, by mypy, without the name of the file."""
    (folder / "user.py").write_text(source, encoding="utf-8")
    skipped = ",".join(["torch.*", "pydantic.*", *(f"unrolled.{part}.*" for part in BELOW)])
    config = folder / "mypy.ini"
    config.write_text(f"[mypy]\ncache_dir = {folder}\n[mypy-{skipped}]\nfollow_imports = skip\n", encoding="utf-8")
    out, problems, _ = mypy.run(["--config-file", str(config), "--no-error-summary", str(folder / "user.py")])
    assert not problems
    return [line.partition("user.py:")[2] for line in out.splitlines() if ": error: " in line]


def test_a_type_checker_sees_wrong_names_and_types(tmp_path: Path) -> None:
    calls = """
    train("a.csv", model="lstm", hidden_size=64, learning_rate=1, valid=None, out="runs/a")
    train("a.csv", hiden_size=64)
    train("a.csv", hidden_size="64")
    train("a.csv", model="lstmm")
    resume("runs/a", treads=2)
    inspect("a.csv", lowercase="yes")
    decode("runs/a", "a text", beam=4, stop=["."])
    decode("runs/a", "a text", temperature="warm")
    evaluate("runs/a", "b.csv", text="says", on_bad_row="skip")
    evaluate("runs/a", on_bad_row="jump")
    """
    lines = [f"unrolled.{call.strip()}" for call in calls.strip().splitlines()]
    errors = checked(tmp_path, "\n".join(["import unrolled", *lines, ""]))
    assert [int(error.partition(":")[0]) - 2 for error in errors] == [1, 2, 3, 4, 5, 7, 9], "\n".join(errors)
    assert 'did you mean "hidden_size"?' in errors[0]


def test_all_public_names() -> None:
    here: dict[str, object] = {}
    exec("from unrolled import *", here)  # as a notebook does
    assert set(unrolled.__all__) == {name for name in here if name != "__builtins__"}
    assert set(unrolled.__all__) <= set(dir(unrolled))
    assert not [name for name in dir(unrolled) if name in ("Any", "importlib", "TYPE_CHECKING", "annotations")]
    exec("from unrolled.nn import *", here)
    from unrolled import nn

    assert set(nn.__all__) <= set(here)
    assert set(nn.__all__) <= set(dir(nn))
    for name in ("nn", "laws"):  # as attributes, without an import of their own
        assert getattr(unrolled, name) is sys.modules[f"unrolled.{name}"]
