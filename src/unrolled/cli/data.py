"""`unrolled data`: what is understood of a file, before anything is trained."""

from __future__ import annotations

import json
from typing import Annotated

from cyclopts import Parameter

from unrolled.cli.settings import DataSettings, resolve

__all__ = ["command"]


def command(
    data: str,
    /,
    *,
    json_: Annotated[bool, Parameter(name="--json", negative="")] = False,
    settings: DataSettings = None,
) -> None:
    """Say what is understood of the data: columns, counts, splits, lengths, labels, duplicates, three examples.

    unrolled data reviews.csv --text review --label stars

    Parameters
    ----------
    data
        CSV, TSV or JSON lines (also .gz or .xz), or a sample's name: sample:films, sample:products.
    json_
        Print JSON.
    """
    from unrolled.data.report import inspect

    report = inspect(data, resolve(settings).data)
    print(json.dumps(report.to_dict(), ensure_ascii=False) if json_ else report.text())
