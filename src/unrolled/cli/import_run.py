"""`unrolled import`: a run of a model that another library has trained."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from unrolled.cli.output import Json, print_json
from unrolled.errors import printable

__all__ = ["command"]


def command(
    source: Path,
    /,
    *,
    out: Path,
    overwrite: Annotated[bool, Parameter(negative="", show_default=False)] = False,
    json: Json = False,
) -> None:
    """Import a model that another library has trained, with its tokeniser: a run that can decode, explain, learn.

    unrolled import gpt2/ --out runs/gpt2

    unrolled decode runs/gpt2 --prompt "The first"

    Parameters
    ----------
    source
        Folder of a GPT-2 in the layout of Hugging Face: config.json, model.safetensors or its shards, and vocab.json
        with merges.txt or tokenizer.json. Nothing is fetched; download it before.
    out
        Folder to save the run to.
    overwrite
        Replace a run in --out.
    json
        Print JSON: the folder, the model, the size of the vocabulary and the number of parameters.
    """
    from unrolled import api

    run = api.import_run(source, out=out, overwrite=overwrite)
    figures = {
        "run": str(out),
        "model": run.config.model.name,
        "task": run.config.task,
        "vocabulary_size": run.tokenizer.vocabulary_size,
        "parameters": run.record["parameters"],
    }
    if json:
        print_json(figures)
        return
    print(
        f"{printable(str(out))}: model {figures['model']}, task {figures['task']}, "
        f"{figures['vocabulary_size']:,} tokens, {figures['parameters']:,} parameters"
    )
    print(f"try: unrolled decode {printable(str(out))} {run.EXAMPLE_INPUT}")
