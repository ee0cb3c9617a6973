"""`unrolled explain`: the attribution of an answer to each token, and every gate, state and weight."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Group, Parameter

from unrolled.cli.checks import check_output, check_run
from unrolled.cli.output import Json, print_json
from unrolled.cli.settings import DeviceFlag, ThreadsFlag, checked_threads
from unrolled.errors import ConfigError, DataError
from unrolled.strings import words_of

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
    compare_with: Annotated[list[Path] | None, Parameter(negative="")] = None,
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
    threads: ThreadsFlag = None,
    picture: Annotated[str | None, Parameter(group=PICTURE)] = None,
    out: Annotated[Path | None, Parameter(group=PICTURE)] = None,
    layer: Annotated[str | None, Parameter(group=PICTURE)] = None,
    unit: Annotated[int | None, Parameter(group=PICTURE)] = None,
    step: Annotated[int | None, Parameter(group=PICTURE)] = None,
    head: Annotated[int | None, Parameter(group=PICTURE)] = None,
    gate: Annotated[str | None, Parameter(group=PICTURE)] = None,
    truth: Annotated[str | None, Parameter(group=PICTURE)] = None,
    width: Annotated[int | None, Parameter(group=PICTURE)] = None,
) -> None:
    """Explain an answer: its attribution to each token, and every gate, state and attention weight.

    unrolled explain runs/films-gru-1 "not a dull moment"

    unrolled explain runs/films-gru-1 "not a dull moment" --export inside.html

    unrolled explain runs/films-lstm-1 "not a dull moment" --picture cell --unit 37 --step 2 > cell.svg

    unrolled explain runs/films-gru-1 "not a dull moment" --compare-with runs/films-elman-1 --export both.html

    unrolled explain runs/letters-attention-1 bahdanau --picture attention --out attention.svg

    unrolled explain runs/digits-lstm-1 three.png

    The text is printed with a colour for each token: the bits of log-probability that it gave to the answer or, for
    tasks generate and translate, the surprise of each token. Without a text argument, all of standard input is read.

    Parameters
    ----------
    run
        Folder of a run.
    text
        Text, sentence, source of a translation, or image file; for task generate, the text whose tokens are predicted.
    compare_with
        Folder of another run, explained next to the first and drawn on the same axes. May be repeated.
    target
        Target of the translation, for a run of task translate. [default: the run's own translation]
    tokens
        Treat each word between spaces as one token.
    max_length
        Maximum number of tokens to read; the output says how many were left out. [default: 512]
    fast
        Trace gates, states and weights only; attribution, which takes most of the time, is left out.
    gradient
        Compute the gradient of each answer with respect to the state at each earlier step.
    snapshots
        Trace the snapshots of the training as well (train with --keep snapshots).
    json
        Print JSON: answers, attribution, and the names and shapes of all tensors.
    save
        File for the trace, as safetensors.
    export
        File for all pictures: one HTML page that works offline.
    device
        Device to compute on.
    threads
        CPU threads; default: chosen by PyTorch.
    picture
        Name of one picture to draw as SVG, or "list" for all names.
    out
        File for the picture. [default: standard output]
    layer
        Layer to draw, as in the names of the tensors: lstm.l0, decoder.gru.l1.
    unit
        Index of the unit to draw, from 0.
    step
        Index of the step to draw, from 0.
    head
        Index of the attention head to draw, from 0.
    gate
        Gate to highlight in the picture of a cell: i, f, g or o of an LSTM, r, z or n of a GRU.
    truth
        The true answer, by which the pictures lineage, network and feedforward mark the drawn ones as right or wrong.
    width
        Pixels of the picture, at least 320; below 600 it has the layout for a narrow screen. [default: 760]
    """
    if save and (compare_with or snapshots):
        raise ConfigError("--save writes one trace: remove --compare-with and --snapshots")
    options = {"layer": layer, "unit": unit, "step": step, "head": head, "gate": gate, "truth": truth, "width": width}
    request: dict[str, Any] = {name: value for name, value in options.items() if value is not None}
    if picture is None and (request or out):
        flags = ", ".join(f"--{name}" for name in [*request, *(["out"] if out else [])])
        raise ConfigError(f"{flags} needs --picture NAME (see --picture list)")
    check_output(save, "--save")
    check_output(export, "--export", ".html", ".htm")
    check_output(out, "--out", ".svg")
    threads = checked_threads(threads)
    if picture != "list":
        for folder in (run, *(compare_with or ())):
            check_run(folder)
    from unrolled import api, atomic, machine, pictures
    from unrolled.cli.inside import show
    from unrolled.cli.progress import show_log

    if picture == "list":
        print("\n".join(f"{name:<14} {each.summary}" for name, each in pictures.PICTURES.items()))
        return
    settings: dict[str, Any] = {"attribution": not fast, "gradient": gradient}
    settings |= {} if max_length is None else {"max_length": max_length}
    with show_log(), machine.use_threads(threads):
        runs = [api.load(folder, device=device) for folder in (run, *(compare_with or ()))]
        example = _example(runs[0], text, target, tokens)
        traces = [
            each.explain(example, **settings)
            for one in runs
            for each in ([*one.snapshots(), one] if snapshots else [one])
        ]
    if save:
        traces[0].save(save)
    if export:
        atomic.write_file(export, pictures.page(traces).encode())
    if picture:
        if truth is not None:
            several = len(traces[0].about.answers) > 1
            request["truth"] = {pictures.input_of(each): truth.split() if several else [truth] for each in traces}
        drawing = pictures.draw(picture, traces, **request)
        if out:
            atomic.write_file(out, drawing.encode())
        else:
            print(drawing)
    elif json:
        for trace in traces:
            print_json(_as_json(trace))
    elif not export and not save:
        show(traces)


def _example(run: Any, text: str | None, target: str | None, tokens: bool) -> Any:
    """Return the example to explain, in the form that `Run.explain` takes.

    Raises:
        ConfigError: a flag that does not apply to the run.
    """
    text = _standard_input() if text is None else text
    if target is not None and run.config.task != "translate":
        raise ConfigError(f"--target is for runs of task translate: this run's task is {run.config.task}")
    if tokens and run.config.data.by is not None:
        raise ConfigError("--tokens is for texts: this run reads images")
    sides = [words_of(side) if tokens else side for side in (text, target) if side is not None]
    return sides[0] if target is None else tuple(sides)


def _standard_input() -> str:
    """Return all of standard input as UTF-8, without the end of its last line."""
    from unrolled.data.reading.stdin import read_stdin

    if sys.stdin.isatty():
        print("Enter a text; Ctrl-D ends it.", file=sys.stderr)
    try:
        text = b"".join(iter(read_stdin, b"")).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        problem = f"byte {error.start} (0x{error.object[error.start]:02x}) is not UTF-8"
        raise DataError(problem, file="standard input", fix="convert the input to UTF-8") from None
    return text.removesuffix("\n").removesuffix("\r")


def _as_json(trace: Trace) -> dict[str, Any]:
    """Return the header, the answers, their attribution, and the shape, unit and meaning of every tensor."""
    from dataclasses import asdict

    from unrolled.inside import find

    attribution = [name for name in trace if name.split(".")[-1] in ("gradient_norm", "input_x_gradient", "occlusion")]
    answers = [name for name in ("steps", "value", "log_prob", "entropy", "rank", "top", "logits") if name in trace]
    return {
        **asdict(trace.about),
        **{name: trace[name].tolist() for name in [*answers, *attribution]},
        "tensors": {
            name: {"shape": list(value.shape), "unit": trace.unit(name), "meaning": spec.meaning}
            for name, value in trace.items()
            if (spec := find(name)) is not None
        },
    }
