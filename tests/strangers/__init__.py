"""The cases of every module of this package."""

import importlib
import pkgutil

from strangers.cases import CASES

for module in pkgutil.iter_modules(__path__):
    if module.name.startswith("case_"):
        importlib.import_module(f"{__name__}.{module.name}")

__all__ = ["CASES"]
