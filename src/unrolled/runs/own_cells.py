"""Cells of users as models: a class, or a file and the name of a class in it."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import Any

from unrolled import lineage
from unrolled.cells import CELLS, OWN, Cell
from unrolled.errors import ConfigError, excerpt, nearest

__all__ = ["is_address", "use_cell"]


def is_address(text: str) -> bool:
    """Return whether a text names a class in a file, as `my_cell.py:MyCell`."""
    return ".py:" in text


def use_cell(cell: type[Cell[Any, Any]] | str) -> str:
    """Make a cell of your own a model, for this process, and return the model's name: that of the class.

    Its recurrent layers run the cell, and its settings are those of model gru. A run of it is loaded where the cell is
    in use again: a run never executes a file that it names.

    Args:
        cell: a subclass of `unrolled.cells.Cell`, or "my_cell.py:MyCell".

    Raises:
        ConfigError: no such file or class, the file cannot be executed, the class is no cell, or its name is taken.
    """
    if isinstance(cell, str):
        cell = _loaded(cell)
    if not (isinstance(cell, type) and issubclass(cell, Cell)):
        raise ConfigError(f"{excerpt(repr(cell))} is no cell: it must be a subclass of unrolled.cells.Cell")
    name = cell.__name__
    if name in CELLS or any(name == known.name for known in lineage.LINEAGE):
        raise ConfigError(f'there is a model or cell "{name}" already: rename the class')
    OWN[name] = cell
    lineage.add_cell(name)
    return name


def _loaded(address: str) -> Any:
    """Return the class that `my_cell.py:MyCell` names.

    Raises:
        ConfigError: no such file or class, or the file cannot be executed.
    """
    path, _, name = address.rpartition(":")
    file = Path(path)
    if not file.is_file():
        raise ConfigError(f"{path} cannot be read: there is no such file; name a cell as my_cell.py:MyCell")
    spec = importlib.util.spec_from_file_location(f"unrolled_own_{file.stem}", file)
    assert spec is not None, "the name ends in .py"
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses and pickles find their module there
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        raise ConfigError(f"{path} cannot be executed: {type(error).__name__}: {excerpt(str(error))}") from error
    if not hasattr(module, name):
        raise ConfigError(f'{path} has no class "{name}"{nearest(name, vars(module))}')
    return getattr(module, name)
