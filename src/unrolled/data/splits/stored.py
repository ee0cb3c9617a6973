"""Splits as arrays and JSON values, and back: the columns of each source once, and the rows of each split."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, TypeVar

from numpy.typing import NDArray

from unrolled.data.examples.columns import Columns
from unrolled.data.examples.table import ExampleTable
from unrolled.data.reading.counts import Counts, Skipped
from unrolled.data.splitting import DataSplits

__all__ = ["Content", "content_of", "prefixed", "splits_of", "within"]

SplitsT = TypeVar("SplitsT", bound=DataSplits[Any])


class Content(NamedTuple):
    """Arrays by name, and JSON values."""

    arrays: Mapping[str, NDArray[Any]]
    facts: Mapping[str, Any]


def prefixed(prefix: str, arrays: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    """Return arrays by names that begin with a prefix and a point."""
    return {f"{prefix}.{name}": values for name, values in arrays.items()}


def within(prefix: str, arrays: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    """Return the arrays whose names begin with a prefix and a point, without it."""
    start = f"{prefix}."
    return {name.removeprefix(start): values for name, values in arrays.items() if name.startswith(start)}


def content_of(splits: DataSplits[Any]) -> Content:
    """Return splits as arrays and JSON values."""
    tables = {**{f"loaded {i}": table for i, table in enumerate(splits.loaded)}, **splits.named()}
    sources = list({id(table.items.columns): table.items.columns for table in tables.values()}.values())
    arrays: dict[str, NDArray[Any]] = {}
    for i, columns in enumerate(sources):
        arrays |= prefixed(f"columns {i}", columns.arrays())
    for name, table in tables.items():
        if table.items.rows is not None:
            arrays[f"{name}.rows"] = table.items.rows
    facts = {
        "how": splits.how,
        "labels": list(getattr(splits, "labels", ())),
        "columns": [columns.facts() for columns in sources],
        "tables": {name: _facts(table, sources, fingerprint=name in splits.named()) for name, table in tables.items()},
    }
    return Content(arrays, facts)


def splits_of(content: Content, kind: type[SplitsT], table: type[ExampleTable[Any]]) -> SplitsT:
    """Return the splits that `content_of` has described.

    Args:
        content: the arrays and facts.
        kind: class of the splits.
        table: class of their examples.
    """
    arrays, facts = content
    sources = [Columns.of(within(f"columns {i}", arrays), each) for i, each in enumerate(facts["columns"])]
    tables = {name: _table(name, each, table, sources, arrays) for name, each in facts["tables"].items()}
    loaded = tuple(each for name, each in tables.items() if name.startswith("loaded "))
    labels = {"labels": tuple(facts["labels"])} if "labels" in kind.__dataclass_fields__ else {}
    held = {name: each for name, each in tables.items() if not name.startswith("loaded ")}
    return kind(**held, how=facts["how"], loaded=loaded, **labels)


def _facts(table: Any, sources: Sequence[Columns], *, fingerprint: bool) -> dict[str, Any]:
    return {
        "columns": next(i for i, columns in enumerate(sources) if columns is table.items.columns),
        "name": table.name,
        "source": table.source,
        "unit": table.unit,
        "counts": vars(table.counts) | {"skipped": dict(table.counts.skipped)},
        "skipped": [list(each) for each in table.skipped],
        "mixed": list(getattr(table, "mixed", ())),
        "fingerprint": table.fingerprint if fingerprint else None,
    }


def _table(
    name: str,
    facts: Mapping[str, Any],
    kind: type[ExampleTable[Any]],
    sources: Sequence[Columns],
    arrays: Mapping[str, NDArray[Any]],
) -> ExampleTable[Any]:
    mixed = {"mixed": tuple(facts["mixed"])} if "mixed" in kind.__dataclass_fields__ else {}
    table = kind(
        facts["name"],
        facts["source"],
        kind.ITEMS(sources[facts["columns"]], arrays.get(f"{name}.rows")),
        Counts(**facts["counts"]),
        [Skipped(*each) for each in facts["skipped"]],
        facts["unit"],
        **mixed,
    )
    if facts["fingerprint"]:
        vars(table)["fingerprint"] = facts["fingerprint"]  # where the cached property keeps it
    return table
