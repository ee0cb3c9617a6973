"""`unrolled export`: a trained network in the format of another library."""

from __future__ import annotations

import json as json_format
from pathlib import Path
from typing import Annotated, Any, Literal

from cyclopts import Parameter

from unrolled.cli.checks import check_run
from unrolled.cli.output import Json, print_json
from unrolled.interchange.formats import FORMATS, RECORD

__all__ = ["command"]


def command(
    run: Path,
    /,
    *,
    to: Literal[tuple(FORMATS)] = "onnx",  # type: ignore[valid-type]
    out: Annotated[Path | None, Parameter(show_default=False)] = None,
    opset: Annotated[int | None, Parameter(show_default=False)] = None,
    overwrite: Annotated[bool, Parameter(negative="", show_default=False)] = False,
    json: Json = False,
) -> None:
    """Export a run for other libraries, checked against the run: ONNX, torch.nn, torch.export.

    unrolled export runs/films-gru-1

    unrolled export runs/letters-attention-1 --to onnx --out letters --opset 21

    unrolled export runs/films-gru-1 --to safetensors

    The folder has all that is needed to answer without unrolled: graphs or weights, the tokeniser, and export.json with
    labels and the names of inputs and outputs. Answers are compared with the run's first; nothing is written if they
    differ. ONNX graphs have any batch and length; models that answer step by step have their state as inputs and
    outputs, so that a stream continues.

    Parameters
    ----------
    run
        Folder of a run.
    to
        Format: onnx, graphs for onnxruntime and others (needs the extra unrolled[onnx]); safetensors, weights with the
        names and shapes of torch.nn and a module of plain PyTorch that loads them, or a GPT-2 for transformers;
        torch, a program of torch.export (models without recurrence).
    out
        Folder to write; default: that of the run with the format added to its name, as in films-gru-1-onnx.
    opset
        With --to onnx: version of its operators, from 18; default: 18.
    overwrite
        Replace an export in that folder, once the new one is complete.
    json
        Print JSON: the folder, and the content of export.json.
    """
    check_run(run)
    folder = _next_to(run, to) if out is None else out
    from unrolled import api
    from unrolled.cli.progress import show_log

    with show_log():
        api.export(api.load(run, device="cpu"), folder, to, overwrite=overwrite, opset=opset)
    record = json_format.loads((folder / RECORD).read_bytes())
    if json:
        print_json({"folder": str(folder), **record})
        return
    for graph in record.get("graphs", {}).values():
        print(f"{graph['file']:<14} {_names(graph['inputs'])} -> {_names(graph['outputs'])}")
    if "largest_difference" in record:
        print(f"largest difference from the run: {record['largest_difference']:.1e}")
    print(f"saved: {folder}")


def _next_to(run: Path, to: str) -> Path:
    """Return the default folder of an export, next to the run."""
    own = run if run.name not in ("", "..") else run.resolve()
    return own.with_name(f"{own.name}-{to}")


def _names(ports: list[dict[str, Any]]) -> str:
    """Return the names of inputs or outputs; the tensors of a state as one."""
    return ", ".join(
        dict.fromkeys(f"{name.partition('.')[0]}.*" if "." in (name := port["name"]) else name for port in ports)
    )
