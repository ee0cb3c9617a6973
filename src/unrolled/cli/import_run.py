"""`unrolled import`: a run of a model that another library has trained."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

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
    task: Annotated[Literal["classify", "tag", "generate"] | None, Parameter(show_default=False)] = None,
    vocabulary: Annotated[Path | None, Parameter(show_default=False)] = None,
    labels: Annotated[Path | None, Parameter(show_default=False)] = None,
    unknown: Annotated[str | None, Parameter(show_default=False)] = None,
    lowercase: Annotated[bool, Parameter(negative="", show_default=False)] = False,
    embedding: Annotated[str | None, Parameter(show_default=False)] = None,
    head: Annotated[str | None, Parameter(show_default=False)] = None,
    nonlinearity: Annotated[Literal["tanh", "relu"] | None, Parameter(show_default=False)] = None,
    read: Annotated[Literal["last", "mean", "max"] | None, Parameter(show_default=False)] = None,
    json: Json = False,
) -> None:
    """Import a model that another library has trained, with its tokeniser: a run that can decode, explain, learn.

    unrolled import gpt2/ --out runs/gpt2

    unrolled import weights.safetensors --task classify --vocabulary words.txt --labels labels.txt --out runs/mine

    Parts of a file of weights are recognised by names and shapes: an embedding, one torch.nn.RNN, LSTM or GRU, and a
    linear layer; all other networks are refused. Nothing is executed or fetched.

    Parameters
    ----------
    source
        File of a state_dict (.safetensors, .pt, .pth); or folder of a GPT-2 in the layout of Hugging Face (config.json,
        model.safetensors or its shards, and vocab.json with merges.txt or tokenizer.json), or of an export with --to
        safetensors. The options below, but --json, describe a file of weights.
    out
        Folder to save the run to.
    overwrite
        Replace a run in --out.
    task
        Task of the network.
    vocabulary
        File with a token a line, in the order of the ids; or a tokenizer.json of unrolled, or of byte pairs on bytes.
    labels
        File with a label a line, in the order of the outputs (tasks classify and tag).
    unknown
        Token for all that is not in the vocabulary; default: <unk>, [UNK] or another usual name.
    lowercase
        Convert texts to lower case, with a vocabulary of lines.
    embedding
        Name of the matrix of the embedding, where several fit.
    head
        Name of the matrix of the linear layer, where several fit.
    nonlinearity
        Of torch.nn.RNN; default: tanh.
    read
        The linear layer's input (task classify): final states of all directions, or mean or maximum of all outputs;
        default: last.
    json
        Print JSON: the folder, the model, the size of the vocabulary and the number of parameters.
    """
    from unrolled import api
    from unrolled.cli.progress import show_log

    with show_log():
        run = api.import_run(
            source,
            out=out,
            overwrite=overwrite,
            task=task,
            vocabulary=vocabulary,
            labels=labels,
            unknown=unknown,
            lowercase=lowercase,
            embedding=embedding,
            head=head,
            nonlinearity=nonlinearity,
            read=read,
        )
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
