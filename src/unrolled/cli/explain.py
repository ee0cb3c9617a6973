"""`unrolled explain`: what a trained network does with an input."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Group, Parameter

from unrolled.cli.output import Json, print_json
from unrolled.cli.settings import DeviceFlag
from unrolled.errors import ConfigError, DataError

if TYPE_CHECKING:
    from unrolled.inside import Trace

__all__ = ["command"]

PICTURE = Group("One picture", sort_key=5)
Switch = Annotated[bool, Parameter(negative="", show_default=False)]


def command(
    run: Path,
    text: Annotated[str | None, Parameter(allow_leading_hyphen=False)] = None,
    /,
    *,
    beside: Annotated[list[Path] | None, Parameter(negative="")] = None,
    target: str | None = None,
    tokens: Switch = False,
    max_length: int | None = None,
    fast: Switch = False,
    gradient: Switch = False,
    snapshots: Switch = False,
    json: Json = False,
    save: Path | None = None,
    export: Path | None = None,
    device: DeviceFlag = "auto",
    picture: Annotated[str | None, Parameter(group=PICTURE)] = None,
    out: Annotated[Path | None, Parameter(group=PICTURE)] = None,
    layer: Annotated[str | None, Parameter(group=PICTURE)] = None,
    unit: Annotated[int | None, Parameter(group=PICTURE)] = None,
    step: Annotated[int | None, Parameter(group=PICTURE)] = None,
    head: Annotated[int | None, Parameter(group=PICTURE)] = None,
    gate: Annotated[str | None, Parameter(group=PICTURE)] = None,
) -> None:
    """Look inside: which words moved the answer, and every gate, state and weight on the way to it.

    unrolled explain runs/films-gru-1 "not a dull moment"

    unrolled explain runs/films-gru-1 "not a dull moment" --export inside.html

    unrolled explain runs/films-lstm-1 "not a dull moment" --picture cell --unit 37 --step 2 > cell.svg

    unrolled explain runs/films-gru-1 "not a dull moment" --beside runs/films-elman-1 --export both.html

    unrolled explain runs/letters-attention-1 bahdanau --picture attention --out attention.svg

    unrolled explain runs/digits-lstm-1 three.png

    The words of the answer's line are coloured by the bits that each gave to the answer, or, where a text is continued,
    by how surprising each was. Without a text, standard input is read, all of it.

    Parameters
    ----------
    run
        Folder of a run.
    text
        Text, sentence, source, or image file; of a run of task generate the text whose tokens it predicts.
    beside
        Folder of another run that reads the same, as often as you like: the same pictures side by side, on the same
        axes.
    target
        With a run of task translate: the target to look at. [default: what the run itself writes]
    tokens
        Take what stands between spaces as one token each.
    max_length
        Most tokens to read; what is left out is said. [default: 512]
    fast
        Gates, states and weights only: without what moved the answer, which takes most of the time.
    gradient
        With the gradient of each answer in the state of each earlier step.
    snapshots
        With what the network did in training, after each update whose weights were kept (see --keep of "unrolled
        train").
    json
        Print JSON: answers, what moved them, and the names and shapes of all tensors.
    save
        Write the trace into this file, as safetensors.
    export
        Write all pictures into this file: one HTML file that needs no network.
    device
        Where to compute.
    picture
        Draw one picture as SVG: its name, or "list" to see which there are.
    out
        File of the picture. [default: standard output]
    layer
        Layer of the picture, as in the tensors' names: lstm.l0, decoder.gru.l1.
    unit
        Unit of the picture, from 0.
    step
        Step of the picture, from 0.
    head
        Attention head of the picture, from 0.
    gate
        Gate of the cell that is looked at, the rest faded: i, f, g or o of an LSTM, r, z or n of a GRU.
    """
    if save and (beside or snapshots):
        raise ConfigError("--save keeps one trace: leave --beside and --snapshots out")
    asked = {"layer": layer, "unit": unit, "step": step, "head": head, "gate": gate}
    asked = {name: value for name, value in asked.items() if value is not None}
    if picture is None and (asked or out):
        given = ", ".join(f"--{name}" for name in [*asked, *(["out"] if out else [])])
        raise ConfigError(f"{given} is about one picture: say which with --picture (see --picture list)")
    from unrolled import api, pictures
    from unrolled.cli.inside import show
    from unrolled.cli.progress import show_log

    if picture == "list":
        print("\n".join(f"{name:<14} {kind.what}" for name, kind in pictures.PICTURES.items()))
        return
    options: dict[str, Any] = {"attribution": not fast, "gradient": gradient}
    options |= {} if max_length is None else {"max_length": max_length}
    with show_log():
        runs = [api.load(folder, device=device) for folder in (run, *(beside or ()))]
        given = _given(runs[0], text, target, tokens)
        traces = [
            each.explain(given, **options) for one in runs for each in ([*one.snapshots(), one] if snapshots else [one])
        ]
    if save:
        traces[0].save(save)
    if export:
        _write(export, pictures.page(traces))
    if picture:
        drawn = pictures.draw(picture, traces, **asked)
        if out:
            _write(out, drawn)
        else:
            print(drawn)
    elif json:
        for trace in traces:
            print_json(_as_json(trace))
    elif not export and not save:
        show(traces)


def _given(run: Any, text: str | None, target: str | None, tokens: bool) -> Any:
    """What is explained, as `Run.explain` takes it."""
    text = _standard_input() if text is None else text
    if target is not None and run.config.task != "translate":
        raise ConfigError(f"--target is for runs of task translate: this run's task is {run.config.task}")
    if tokens and run.config.data.by is not None:
        raise ConfigError("--tokens is for texts: this run reads images")
    sides = [side.split() if tokens else side for side in (text, target) if side is not None]
    return sides[0] if target is None else tuple(sides)


def _standard_input() -> str:
    """All of standard input, as UTF-8, without the end of its last line."""
    if sys.stdin.isatty():
        print("a text; Ctrl-D ends", file=sys.stderr)
    try:
        text = sys.stdin.buffer.read().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        problem = f"byte {error.start} (0x{error.object[error.start]:02x}) is not UTF-8"
        raise DataError(problem, file="standard input", fix="convert the input to UTF-8") from None
    return text.removesuffix("\n").removesuffix("\r")


def _write(path: Path, text: str) -> None:
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"{path} cannot be written: {error.strerror}") from None


def _as_json(trace: Trace) -> dict[str, Any]:
    """Whose it is, the answers, what moved each of them, and what else there is."""
    from dataclasses import asdict

    from unrolled.inside import find

    moved = [name for name in trace if name.split(".")[-1] in ("gradient_norm", "input_x_gradient", "occlusion")]
    few = ("steps", "log_prob", "entropy", "rank", "top", "logits")
    return {
        **asdict(trace.about),
        **{name: trace[name].tolist() for name in [*few, *moved]},
        "tensors": {
            name: {"shape": list(value.shape), "unit": spec.unit, "meaning": spec.meaning}
            for name, value in trace.items()
            if (spec := find(name)) is not None
        },
    }
