"""`unrolled evaluate`: how good a trained network is on held-out examples."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

__all__ = ["command"]


def command(
    run: Path,
    data: str | None = None,
    /,
    *,
    json_: Annotated[bool, Parameter(name="--json", negative="")] = False,
    device: str = "auto",
) -> None:
    """Evaluate a run: accuracy and macro-F1 with intervals, a table per class, the confusion matrix, by length.

    unrolled evaluate runs/films-gru-1 more.csv

    Parameters
    ----------
    run
        Folder of a run.
    data
        A file with the columns of the training data, or a sample's name; default: the test part it was trained beside.
    json_
        Print JSON.
    device
        auto, cpu, cuda or mps.
    """
    from unrolled import api

    result = api.load(run, device=device).evaluate(data)
    print(json.dumps(result.to_dict(), ensure_ascii=False) if json_ else result.text())
