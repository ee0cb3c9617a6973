"""Run the commands and the notebook of the documentation, and compare what they print.

    python tools/docs_test.py [PAGE.md | NOTEBOOK.ipynb …]     default: the tutorial and the notebook in examples/

In a block ```console a line after "$ " is a command; the lines below it are what it prints. Numbers may differ, a line
"…" stands for any lines, and spaces count as one. Commands of a page run in one empty folder, in turn. The exit code is
1 where a command fails or prints something else.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
DEFAULT = (ROOT / "docs" / "tutorial.md", ROOT / "examples" / "from_data_to_a_look_inside.ipynb")
NUMBER = re.compile(r"[-+−]?\d[\d,.]*")


def main() -> None:
    """Run the pages, print a line for each command, and exit with 1 if one differs."""
    pages = [Path(name).resolve() for name in sys.argv[1:]] or DEFAULT
    failed = 0
    for page in pages:
        print(page.name)
        with tempfile.TemporaryDirectory() as folder:
            check = _notebook if page.suffix == ".ipynb" else _page
            failed += sum(not passed for passed in check(page, Path(folder)))
    sys.exit(f"{failed} failed" if failed else 0)


def commands(page: str) -> list[tuple[str, list[str]]]:
    """Return the commands of a page, each with the lines that it should print."""
    found: list[tuple[str, list[str]]] = []
    for block in re.findall(r"^```console\n(.*?)^```", page, re.M | re.S):
        for line in block.splitlines():
            if line.startswith("$ "):
                found.append((line[2:], []))
            else:
                found[-1][1].append(line)
    return found


def differs(expected: list[str], printed: list[str]) -> str:
    """Return the first expected line that is not printed, in order; "" if all are.

    Without a line "…" between them, two expected lines must follow each other. With nothing expected, anything may be
    printed.
    """
    if not expected:
        return ""
    lines = [_plain(line) for line in printed if line.strip()]
    at, anywhere = 0, False
    for line in filter(str.strip, expected):
        if line.strip() == "…":
            anywhere = True
            continue
        try:
            index = lines.index(_plain(line), at)
        except ValueError:
            return line
        if index != at and not anywhere:
            return line
        at, anywhere = index + 1, False
    return "" if anywhere or at == len(lines) else f"nothing more, but got: {printed[-1]}"


def _plain(line: str) -> str:
    """Return a line with its numbers replaced and its spaces joined."""
    return " ".join(NUMBER.sub("#", line).split())


def _page(page: Path, folder: Path) -> Iterator[bool]:
    """Run a page's commands; yield whether each printed what the page shows."""
    environment = os.environ | {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    for command, expected in commands(page.read_text(encoding="utf-8")):
        begun = time.perf_counter()
        done = subprocess.run(
            command,
            shell=True,
            cwd=folder,
            env=environment,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        wrong = f"exit code {done.returncode}" if done.returncode else differs(expected, done.stdout.splitlines())
        print(f"  {time.perf_counter() - begun:5.1f} s  {command}", flush=True)
        if wrong:
            print(f"FAILED: expected {wrong}\n{done.stdout}", flush=True)
        yield not wrong


def _notebook(page: Path, folder: Path) -> Iterator[bool]:
    """Run a notebook's cells; yield whether it came to its end."""
    import nbformat
    from nbclient import NotebookClient
    from nbclient.exceptions import CellExecutionError

    begun = time.perf_counter()
    notebook = nbformat.read(page, as_version=4)
    client = NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(folder)}})
    try:
        client.execute()
    except CellExecutionError as error:
        print(f"FAILED: {error}")
        yield False
    else:
        print(f"  {time.perf_counter() - begun:5.1f} s  {len(notebook.cells)} cells")
        yield True


if __name__ == "__main__":
    main()
