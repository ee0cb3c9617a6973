"""Imports point one way: whoever reads a file knows without looking which others it can depend on."""

import ast
import importlib
import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import unrolled

ROOT = Path(unrolled.__file__).parent
LEAVES = {
    "errors",
    "lineage",
    "config",
    "shapes",
    "state",
    "machine",
    "atomic",
    "eager",
    "saved",
    "strings",
    "palette",
    "svg",
    "keywords",
    "launch",
    "display",
    "version",
}
LIGHT = {
    "errors",
    "keywords",
    "launch",
    "lineage",
    "palette",
    "config",
    "strings",
    "version",
    "decoding",
    "decoding.options",
    "data",
    "data.reading",
    "data.reading.addresses",
    "interchange",
    "interchange.formats",
    "serve",
    "serve.limits",
} | {f"config.{path.stem}" for path in (ROOT / "config").glob("*.py") if path.stem != "__init__"}
"""Parts that import nothing heavy."""
LADDER = [
    "kernels",
    "cells",
    "scan",
    "layers",
    "models",
    "decoding",
    "evaluation",
    "inside",
    "pictures",
    "runs",
    "page",
    "interchange",
    "scoring",
    "training",
    "tasks",
    "comparison",
    "api",
    "serve",
    "cli",
]
MAY = {name: {*LEAVES, *LADDER[: i + 1]} for i, name in enumerate(LADDER)}
MAY |= {name: MAY[name] | {"data"} for name in LADDER[LADDER.index("decoding") :]}
MAY |= dict.fromkeys(LEAVES, LEAVES)
MAY["kernels"] = {"eager", "errors", "state", "kernels"}  # Python's side of csrc/
MAY["cells"] = MAY["cells"] - {"kernels"}
MAY["data"] = {*LEAVES, "data"}  # beside the models: neither imports the other
MAY["laws"] = MAY["models"]
MAY["nn"] = MAY["scan"] | {"nn"}  # torch.nn over our scans
MAY["__main__"] = {"cli"}
MAY["ray"] = MAY["spark"] = MAY["scoring"]  # engines that schedule the work
MAY["__init__"] = {"api", "laws", "nn", "version"}
for part in ("cells", "scan", "layers", "models", "laws"):
    MAY[part] = MAY[part] - {"lineage"}

DATA = ["special", "synthetic", "reading", "splitting", "examples", "splits", "encoding", "report"]
"""The rooms of data/: each imports only itself and those before it. Some are one file."""

FILES = sorted(ROOT.rglob("*.py"))
REPOSITORY = Path(__file__).parents[1]
USERS = sorted(
    path for folder in ("benchmarks", "examples", "experiments") for path in (REPOSITORY / folder).rglob("*.py")
)
"""Files that use the package and that the suite does not run."""


def imported(path: Path) -> Iterator[str]:
    """Every module that a file imports, also inside functions and for type checkers only."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports are absolute"
            assert node.module is not None
            if node.module == "unrolled":
                yield from (f"unrolled.{alias.name}" for alias in node.names)
            else:
                yield node.module


def part_of(path: Path) -> str:
    return path.relative_to(ROOT).parts[0].removesuffix(".py")


def test_every_part_has_its_place() -> None:
    assert {part_of(path) for path in FILES} <= set(MAY), "say in MAY what a new part may import"


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_it_imports_only_what_is_below_it(path: Path) -> None:
    ours = {name.split(".")[1] for name in imported(path) if name.startswith("unrolled.")}
    beyond = ours - MAY[part_of(path)]
    assert not beyond, f"{part_of(path)} may not import {', '.join(sorted(beyond))}"


@pytest.mark.parametrize(
    "path", [p for p in FILES if p.parent.parent == ROOT / "data"], ids=lambda path: f"{path.parent.name}/{path.name}"
)
def test_a_room_of_data_imports_only_those_before_it(path: Path) -> None:
    rooms = {name.split(".")[2] for name in imported(path) if name.startswith("unrolled.data.")}
    assert rooms <= {*DATA[: DATA.index(path.parent.name) + 1]}


@pytest.mark.parametrize("leaf", sorted(LIGHT))
def test_what_the_help_needs_is_light(leaf: str) -> None:
    path = ROOT.joinpath(*leaf.split("."))
    path = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    light = {"unrolled", *(f"unrolled.{name}" for name in LIGHT)}
    for name in imported(path):
        assert name.split(".")[0] in {"pydantic", *sys.stdlib_module_names} or name in light, f"{name} is not light"


@pytest.mark.parametrize("path", sorted((ROOT / "cli").glob("*.py")), ids=lambda path: path.stem)
def test_a_verb_loads_torch_only_when_it_runs(path: Path) -> None:
    """At the top of a file of the command line stands nothing that imports torch, numpy or tokenizers."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    top = [node for node in tree.body if isinstance(node, ast.Import | ast.ImportFrom)]
    light = {"unrolled", *(f"unrolled.{leaf}" for leaf in LIGHT)}
    for node in top:
        names = [node.module] if isinstance(node, ast.ImportFrom) else [alias.name for alias in node.names]
        for name in names:
            assert name.split(".")[0] in {"cyclopts", "rich", *sys.stdlib_module_names} or (
                name in light or name.startswith("unrolled.cli")
            ), f"{name} belongs into the function that needs it"


@pytest.mark.parametrize("path", USERS, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_every_name_that_a_benchmark_imports_exists(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "unrolled":
            assert node.module is not None
            module = importlib.import_module(node.module)
            for alias in node.names:
                found = hasattr(module, alias.name) or importlib.util.find_spec(f"{node.module}.{alias.name}")
                assert found, f"{node.module} has no {alias.name}"
