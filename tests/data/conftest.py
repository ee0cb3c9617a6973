import sys
from types import ModuleType, SimpleNamespace

import pytest

from unrolled.data.reading import hub


class Split:
    """Stub of a split in the library `datasets`."""

    def __init__(self, rows, columns=("text", "label"), **classes):
        self.rows = [row if isinstance(row, dict) else dict(zip(columns, row, strict=True)) for row in rows]
        self.column_names = list(columns)
        self.features = {
            name: SimpleNamespace(**({"names": classes[name]} if name in classes else {})) for name in columns
        }

    def __len__(self):
        return len(self.rows)

    def select_columns(self, names):
        return ({name: row[name] for name in names} for row in self.rows)


@pytest.fixture
def hub_library(monkeypatch):
    """Replace the library by a stub; its argument is the splits, or the exception to raise."""

    def use(splits, **classes):
        def load_dataset(name, config=None):
            load_dataset.requested.append((name, config))
            if isinstance(splits, Exception):
                raise splits
            return {split: Split(rows, **classes) for split, rows in splits.items()}

        load_dataset.requested = []
        library = ModuleType("datasets")
        library.load_dataset = load_dataset
        monkeypatch.setitem(sys.modules, "datasets", library)
        hub._splits.cache_clear()
        return load_dataset.requested

    yield use
    hub._splits.cache_clear()
