"""Docstrings as the reference reads them: each argument and each error on a line of its own, under its own name."""

import ast
import importlib
import inspect
import re
from pathlib import Path

SOURCE = Path(__file__).parents[1] / "src"
NAME = r"\*{0,2}[a-zA-Z_]\w*"
NAMES = rf"({NAME}(?:, {NAME})*): "
ERROR = r"(?:[A-Z]\w*(?:Error|Warning)|KeyboardInterrupt|Interrupted)"


def arguments(path: Path, node: ast.FunctionDef | ast.ClassDef) -> set[str]:
    """Names that a docstring's `Args` may have: parameters, or the attributes of a class."""
    if isinstance(node, ast.ClassDef):
        module = ".".join(path.relative_to(SOURCE).with_suffix("").parts).removesuffix(".__init__")
        owner = getattr(importlib.import_module(module), node.name)
        annotated = {name for base in owner.__mro__ for name in getattr(base, "__annotations__", {})}
        return {*inspect.signature(owner).parameters, *annotated, *dir(owner)}
    every = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs, node.args.vararg, node.args.kwarg]
    return {argument.arg for argument in every if argument}


def entries(docstring: str, section: str) -> list[str]:
    """The entries of a section, each in one line; `section` is a pattern."""
    section = re.search(rf"^(?:{section}):\n((?:    .*\n?)*)", docstring, re.M)
    return re.sub(r"\n {5,}", " ", section[1]).splitlines() if section else []


def faults(path: Path) -> list[str]:
    """Entries that name no argument or error, or hold a second one."""
    found = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if not isinstance(node, ast.FunctionDef | ast.ClassDef):
            continue
        docstring = ast.get_docstring(node) or ""
        written = entries(docstring, "Args|Attributes")
        known = arguments(path, node) if written else set()
        for entry in written:
            begins = re.match(rf" {{4}}{NAMES}", entry)
            names = begins[1].replace("*", "").split(", ") if begins else [entry]
            rest = entry[begins.end() :] if begins else ""
            second = [m[1] for m in re.finditer(rf"[.;] {NAMES}", rest) if known.issuperset(m[1].split(", "))]
            found += [f"{path.name}: {node.name}: {name}" for name in {*names} - known | {*second}]
        for entry in entries(docstring, "Raises"):
            if not re.match(rf" {{4}}{ERROR}(?:, {ERROR})*: (?!.*[.;] {ERROR}: )", entry):
                found.append(f"{path.name}: {node.name}: {entry.strip()}")
    return found


def test_each_argument_and_each_error_has_a_line() -> None:
    assert not [fault for path in sorted(SOURCE.rglob("*.py")) for fault in faults(path)]
