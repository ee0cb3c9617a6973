"""The transforms that torch.nn supports, as functions (module, x): run by the tests and by benchmarks/transforms.py."""

import importlib
import pkgutil

from transforms.sides import TRANSFORMS

for module in pkgutil.iter_modules(__path__):
    if module.name.startswith("with_"):
        importlib.import_module(f"{__name__}.{module.name}")

__all__ = ["TRANSFORMS"]
