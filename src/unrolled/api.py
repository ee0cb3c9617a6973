"""The Python API, one function for each verb: train, resume, load, ensemble, decode, decode_files, evaluate, explain,
export, import_run, compare, trace, inspect, backends, use_cell.

run = unrolled.train("reviews.csv", model="gru", out="runs/reviews")
run.decode("a fine film")[0].label
unrolled.load("runs/reviews").evaluate("more.csv").accuracy
run.explain("a fine film")["gru.l0.z"]

The command line and notebooks call these. Each imports what it needs when it is called: loading a run and answering
with it import neither the trainer nor pictures.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Unpack

from unrolled import launch, machine, scan
from unrolled.config import Config, ModelConfig, from_flat
from unrolled.errors import ConfigError
from unrolled.keywords import DecodeKeywords, EvaluateKeywords, Settings
from unrolled.runs.build import build
from unrolled.runs.load import load
from unrolled.runs.own_cells import use_cell
from unrolled.runs.run import MAX_LENGTH, Run
from unrolled.scan import measured

if TYPE_CHECKING:
    from torch import Tensor, nn

    from unrolled.comparison.report.forms import Comparison
    from unrolled.data.report.issues import Report
    from unrolled.evaluation.folds import CrossValidation
    from unrolled.inside import Trace
    from unrolled.scoring.layout import Form
    from unrolled.scoring.session import Progress, Result
    from unrolled.training import Event

__all__ = [
    "backends",
    "build",
    "compare",
    "cross_validate",
    "decode",
    "decode_files",
    "ensemble",
    "evaluate",
    "explain",
    "export",
    "import_run",
    "inspect",
    "load",
    "resume",
    "trace",
    "train",
    "use_cell",
]


def train(
    data: object,
    *,
    out: str | Path | None = None,
    runs: str | Path | None = None,
    overwrite: bool = False,
    start: Run | str | Path | None = None,
    config: Config | None = None,
    report: Callable[[Event], None] = lambda event: None,
    **settings: Unpack[Settings],
) -> Run:
    """Train a model on `data`, evaluate it on the test split, and save it.

    Args:
        data: the examples, by task.

            - classify, texts: a CSV, TSV, JSONL or Parquet file, a folder of texts by class, or Python objects: (text,
              label) pairs, dicts with the text and label keys, a mapping of two lists, a data frame.
            - classify, images: an IDX file or a folder of these, a folder of image files by class, or a pair of arrays
              (images, labels).
            - regress: as classify with texts; the labels are numbers.
            - tag: a CoNLL-U file, one of two columns, or (words, tags) pairs.
            - translate: (source, target) pairs, from the same sources as labelled texts, or two parallel files as a
              pair of paths ("train.de", "train.en").
            - generate: a text file, a folder of them, or a list of these.

            Of every task also "-" (standard input) and a sample's name such as "sample:films"; of all but generate
            a synthetic task, "synthetic:recall?length=40"; of tables also "hub:NAME", a data set of the Hugging Face
            Hub.
        out: folder to save the run to. Without it and `runs` the run stays in memory (`run.save(folder)`).
        runs: folder of runs: the run is saved to the first free `<runs>/<data>-<model>-<n>`.
        overwrite: whether a run in `out` may be replaced; it is, once the new one is complete.
        start: a run, or its folder, whose weights, tokeniser and settings are the start; `settings` take precedence.
            The labels must be the same.
        config: settings to start from; default: `Config()`, or those of `start`.
        report: called with the progress of the training.
        settings: any setting by its flat name: model="lstm", hidden_size=256, epochs=5.

    Returns:
        The run, in eval mode, with the weights of its best evaluation.

    Ctrl-C or SIGTERM ends training between two updates. With a folder to save to, everything is saved there and
    Interrupted says so: `resume` continues. Without one, the run with the best weights so far is returned, and has
    `run.record["training"]["signal"]` set. A second signal raises KeyboardInterrupt at once.

    Raises:
        Interrupted: a signal has arrived, and everything is saved.
        ConfigError: an unknown setting, a value out of range, an unknown model or task, `out` exists.
        DataError: the data cannot be read as requested; names file and line.
        TrainingError: the loss or a gradient is not finite.
        BackendError: a forced backend cannot run.
        CheckpointError: the run cannot be written.
    """
    from unrolled.tasks import session

    start = None if start is None else _run(start)
    return session.train(
        data, settings, out=out, runs=runs, overwrite=overwrite, start=start, config=config, report=report
    )


def resume(
    folder: str | Path,
    data: object = None,
    *,
    finish: bool = False,
    report: Callable[[Event], None] = lambda event: None,
    **settings: Unpack[Settings],
) -> Run:
    """Resume a training that was interrupted: the run ends with the same bits as an uninterrupted one.

    That holds for the same build, instruction set and threads; where they differ, a warning names them.

    Args:
        folder: folder of the run, or of its training (`<run>.partial`).
        data: the Python objects of the training, if it had no files; files are read again.
        finish: end after one more update, with the best weights so far.
        report: called with the progress of the training.
        settings: device, threads, backend, checkpoint_every, tensorboard and cache may differ from before; no other
            may.

    Returns:
        The run, as `train` returns it.

    Raises:
        ConfigError: there is no such training, another process has locked it, or a setting has changed.
        DataError: the data have changed.
        CheckpointError: no checkpoint is complete.

    All other errors of `train` are possible, too.
    """
    from unrolled.tasks import session

    return session.resume(Path(folder), data, settings, finish=finish, report=report)


def cross_validate(
    data: object = None,
    *,
    out: str | Path | None = None,
    resume: bool = False,
    config: Config | None = None,
    report: Callable[[Event], None] = lambda event: None,
    **settings: Unpack[Settings],
) -> CrossValidation:
    """Train once for each fold of `data`, test on that fold, and return the figures of all.

    Each example is tested exactly once, by a model that was not trained on it; equal texts are in one fold. The
    validation split is taken from the other folds.

    Args:
        data, config, report, settings: see `train`. The data have no test split of their own.
            `folds` is their number K, by default 5.
        out: folder to save the runs to, as `fold-1` to `fold-K`, with summary.json. Without it only the figures are
            kept.
        resume: continue the cross-validation in `out`, with the settings it began with; finished folds are kept. Data
            are needed only if they were Python objects.

    Returns:
        The figures of each fold, their mean and standard deviation, and those over all examples with an interval.

    Raises:
        Interrupted: a signal has arrived, and everything is saved in `out`, to be resumed.
        ConfigError: the data have a test split, or the task does not split examples.
        DataError: there are too few examples for the folds.

    All other errors of `train` are possible, too.
    """
    from unrolled.tasks import folds as tasks_folds

    launch.refuse_many("A cross-validation")
    folder = None if out is None else Path(out)
    if not resume:
        return tasks_folds.cross_validate(data, settings, out=folder, config=config, report=report)
    if folder is None or settings or config is not None:
        raise ConfigError(
            "resume=True needs out, the folder of the cross-validation, and no settings: they are read from that folder"
        )
    return tasks_folds.resume(folder, data, report=report)


def compare(
    data: object = None,
    models: Iterable[str | type[Any]] = (),
    *,
    match: Literal["parameters", "flops", "seconds", "state"] | None = "parameters",
    match_to: float | None = None,
    budget: str | None = None,
    trials: int = 8,
    seeds: int = 5,
    prune: bool = True,
    out: str | Path | None = None,
    storage: str | None = None,
    resume: str | Path | None = None,
    join: str | None = None,
    config: Config | None = None,
    command: str = "",
    report: Callable[[str, Event], None] = lambda title, event: None,
    **settings: Unpack[Settings],
) -> Comparison:
    """Train several models with one budget and one search, and compare them with intervals.

    Each model gets the hidden size at which the matched quantity is that of the first one, the same trials over
    learning rate and dropout (chosen on the validation split), and then several seeds, each a run that is tested on the
    test split. Data, splits, tokeniser, embedding size, batches and their order are the same for all. The comparison is
    saved as it goes on: interrupted, `resume` continues it.

    Args:
        data: the data, see `train`; None: that of the runs, if all models are runs.
        models: names of models ("gru"), with settings of their own ("gru num_layers=2"); cells of your own, as classes
            or "my_cell.py:MyCell"; folders of trained runs. At least two.
        match: the quantity that is the same for all, within 2 %: parameters outside token tables and output heads;
            flops, the operations of one training update; seconds of an update, measured; state, the bytes carried after
            a sequence of median length of the training split; None: nothing.
        match_to: the amount to match; None: that of the first model.
        budget: budget of one training: "5m", "800updates", "2Mtokens", "1e12operations"; None: as long as `train`. A
            time becomes a number of updates once for each model.
        trials: trials of the search for each model; 0: the settings as given. Where a model's best rate is the
            outermost, the range is extended, and every model gets a quarter as many trials more, up to twice.
        seeds: trainings of each model with its best settings; with one there are no intervals.
        prune: whether a trial ends early that is worse than the median of the others at half of its updates.
        out: folder of the comparison, with the runs and report.json, report.md and report.html; None: the first free
            runs/DATA-compare-N.
        storage: address of a database for the study, so that other machines can `join`; None: a file in `out`.
        resume: folder of a comparison that is continued; all other arguments but `data` (Python objects only) and the
            cells among `models` are those it began with.
        join: folder of a comparison, or address of its database with "#" and its name, on which this process works
            together with others.
        config: settings to start from; None: the defaults.
        command: the command that makes the comparison again, for the report.
        report: called with the title of each training and its events.
        settings: flat settings of all models; those that only some use are for these.

    Returns:
        The comparison: `best`, `verdict`, `text()`, `to_dict()`, `rendered("html")`, `folder`.

    Raises:
        Interrupted: a signal has arrived; everything is saved, to be resumed.
        ConfigError: Optuna is not installed (extra `compare`); a model that does not serve the task, a target that no
            width reaches, another comparison in `out`.
        DataError: data that cannot be read, runs that were tested on another split, or other data than it began with.
        CheckpointError: a storage that cannot be reached or written.
    """
    from unrolled.comparison import session
    from unrolled.comparison.plan import Request

    launch.refuse_many("A comparison")
    named = [model if isinstance(model, str | Path) else use_cell(model) for model in models]
    names = [str(model) for model in named]
    if resume is not None:
        return session.resume(Path(resume), data, names, progress=report)
    if join is not None:
        return session.join(join, Path(out) if out is not None else None, data, names, progress=report)
    return session.compare(
        data,
        names,
        settings,
        request=Request(match, match_to, budget, trials, seeds, prune),
        out=None if out is None else Path(out),
        storage=storage,
        config=config,
        command=command,
        progress=report,
    )


def import_run(
    source: str | Path,
    *,
    out: str | Path | None = None,
    overwrite: bool = False,
    task: Literal["classify", "tag", "generate"] | None = None,
    vocabulary: str | Path | None = None,
    labels: str | Path | None = None,
    unknown: str | None = None,
    lowercase: bool = False,
    embedding: str | None = None,
    head: str | None = None,
    nonlinearity: Literal["tanh", "relu"] | None = None,
    read: Literal["last", "mean", "max"] | None = None,
) -> Run:
    """Make a run of a model that another library has trained: a recurrent network of torch.nn, or a GPT-2.

    The network is an embedding, one torch.nn.RNN, LSTM or GRU of any number of layers and directions, and a linear
    layer. Which tensors are which follows from their names and shapes; a tensor without a part in it is refused.

    The run decodes, evaluates, explains, is trained on from and is exported as any other. Its record says where it
    comes from; it has no splits and no result. The function is not called `import`, which is a keyword of Python.

    Args:
        source: file of a state_dict, of safetensors or of torch.save (.pt, .pth); or folder of a GPT-2 in the layout of
            Hugging Face (config.json, model.safetensors or its shards and their index, and vocab.json with merges.txt
            or tokenizer.json), or of `export(run, folder, "safetensors")`. Nothing is executed or fetched.
        out: folder to save the run to; None: it stays in memory.
        overwrite: whether a run in `out` may be replaced.
        task: of a file of weights: classify, tag or generate. This and all others describe a file of weights; a folder
            has its own description.
        vocabulary: file with a token a line, in the order of the ids, for a tokeniser of kind word; or a tokenizer.json
            of unrolled, or of byte pairs on bytes.
        labels: file with a label a line, in the order of the outputs (tasks classify and tag).
        unknown: token for all that is not in the vocabulary; None: the one with a usual name, such as <unk>.
        lowercase: whether texts are converted to lower case, with a vocabulary of lines.
        embedding, head: names of the matrices of the embedding and of the linear layer, where several fit.
        nonlinearity: that of torch.nn.RNN; None: tanh.
        read: of task classify, the vector that the linear layer reads: the final states of all directions ("last",
            None), or the mean or maximum of all outputs.

    Raises:
        CheckpointError: a file is missing, damaged or of another architecture; a tensor is missing or foreign, or
            several fit; an option or a token has no equivalent; vocabulary or labels of another length.
        DataError: a line of vocabulary or labels that is empty or occurs twice.
        ConfigError: `out` exists; a description that is missing or has no effect.
    """
    from unrolled.interchange import sources
    from unrolled.interchange.torch_network import Description
    from unrolled.runs.claim import refuse_existing

    if out is not None:
        refuse_existing(Path(out), overwrite=overwrite)
    files = {"vocabulary": vocabulary, "labels": labels}
    described = Description(
        task=task,
        unknown=unknown,
        lowercase=lowercase,
        embedding=embedding,
        head=head,
        nonlinearity=nonlinearity,
        read=read,
        **{name: None if file is None else Path(file) for name, file in files.items()},
    )
    run = sources.read(Path(source), described)
    return run if out is None else run.save(out, overwrite=overwrite)


def ensemble(runs: Iterable[Run | str | Path], *, device: str = "auto") -> Run:
    """Return a run that answers with the mean of the answers of several: it can decode and evaluate.

    The runs need one task and the same labels; they may differ in model and tokeniser, except where text is written
    (tasks translate and generate).

    Args:
        runs: runs, or their folders.
        device: device to load the folders on: "auto", "cpu", "cuda" or "mps".

    Returns:
        A run that is in memory only: it cannot be saved or explained, but each of its members can.

    Raises:
        ConfigError: runs that cannot answer together.
        CheckpointError: a folder that cannot be loaded, see `load`.
    """
    from unrolled.runs.ensemble import ensemble

    return ensemble([run if isinstance(run, Run) else load(run, device=device) for run in runs])


def decode(
    run: Run | str | Path, inputs: Any, *, threads: int | None = None, **options: Unpack[DecodeKeywords]
) -> list[Any]:
    """Return the answers for one text or image or several, in order.

    Args:
        run: a run, or its folder.
        inputs: one input or a list of them: texts (classify, regress), sentences or lists of words (tag), sources
            (translate), prompts (generate), image files or arrays (images).
        threads: CPU threads during the call; default: chosen by PyTorch.
        options: options of the run's task, such as beam=5 (translate) or length=300 (generate); see
            `unrolled.keywords.DecodeKeywords`.

    Returns:
        One answer for each input, with the fields that `unrolled decode --json` prints.

    Raises:
        DataError: an input that the run cannot read.
        ConfigError: an option that the task does not have.
        CheckpointError: a folder that cannot be loaded, see `load`.
    """
    with _use_threads(threads):
        return _run(run).decode(inputs, **options)


def decode_files(
    run: str | Path | Iterable[str | Path],
    files: str | Path | Iterable[str | Path],
    out: str | Path,
    *,
    format: Form | None = None,
    keep_columns: Iterable[str] | None = None,
    answer_prefix: str = "",
    text: str | None = None,
    source: str | None = None,
    header: bool | None = None,
    separator: str | None = None,
    workers: int | None = None,
    device: str = "auto",
    report: Callable[[Progress], None] = lambda progress: None,
    **options: Unpack[DecodeKeywords],
) -> Result:
    """Answer every row of files, and write a file with the answers for each: each row exactly once, in order.

    The work is done by processes of one thread each, in memory that does not grow with the files. A process that is
    killed is replaced. After an interruption, or a kill of everything at any moment, the same call goes on; a file that
    has changed since is answered again.

    Args:
        run: folder of a run, or of several whose answers are averaged.
        files: a file, a folder or a pattern such as `in/*.parquet`, or several: CSV, TSV, JSON lines, Parquet, or a
            text a line.
        out: folder of the answers. Each file has the name of its input, relative to the folder that was named or to the
            part of the pattern before the first wildcard.
        format: format of the answers: "csv", "tsv", "jsonl", "parquet", or "txt" for the answers alone, a line each;
            None: that of each file.
        keep_columns: columns of the input to keep; None: all.
        answer_prefix: beginning of the names of the answers' columns.
        text, source: the column of the inputs; default: as in training, "prompt" for task generate.
        header: whether the first row of a CSV or TSV file names the columns; default: as in training.
        separator: separator of the columns of a CSV or TSV file; default: as in training.
        workers: number of processes; None: one for each core, or one on a GPU.
        device: device to compute on: "auto", "cpu", "cuda" or "mps".
        report: called with the progress.
        options: options of the run's task, as those of `decode`; with on_bad_row="stop" a row that cannot be answered
            is an error, otherwise the column `error` has the reason.

    Returns:
        The numbers of files, rows, rows without an answer, and the time.

    Raises:
        Interrupted: a signal has arrived; all that is finished is kept.
        DataError: a file that cannot be read (after all others are finished), a missing column, or one with the name of
            an answer's.
        ConfigError: a run of images, an option that the task does not have, a folder with other answers, or one that
            another process is writing.
        CheckpointError: a folder that cannot be loaded, or written.
        WorkerError: two processes were killed with the same part of the work.
    """
    from unrolled.scoring import lazy, session

    on_bad_row = options.pop("on_bad_row", None)
    named = lazy.lazy(run, device=device, options=options)
    return session.decode_files(
        named,
        [str(file) for file in ([files] if isinstance(files, str | Path) else files)],
        Path(out),
        settings=named.reading(text=text, source=source, header=header, separator=separator),
        form=format,
        keep=None if keep_columns is None else list(keep_columns),
        prefix=answer_prefix,
        on_bad_row="stop" if on_bad_row == "stop" else "record",
        workers=workers,
        report=report,
    )


def evaluate(
    run: Run | str | Path, data: object = None, *, threads: int | None = None, **options: Unpack[EvaluateKeywords]
) -> Any:
    """Evaluate a run on `data`, or on its own test split.

    Args:
        run: a run, or its folder.
        data: labelled examples, as `train` takes them; None: the test split of the run's own data.
        threads: CPU threads during the call; default: chosen by PyTorch.
        options: how `data` are read, and options of the run's task; see `unrolled.keywords.EvaluateKeywords`.

    Returns:
        The result: the figures of the task with their intervals as attributes; `text()` to read, `to_dict()` as JSON
        values.

    Raises:
        DataError: data that cannot be read as requested, or (with None) training data that are missing or have changed.
        ConfigError: an option that the task does not have.
        CheckpointError: a folder that cannot be loaded, see `load`.
    """
    with _use_threads(threads):
        return _run(run).evaluate(data, **options)


def explain(
    run: Run | str | Path,
    input: Any,
    *,
    attribution: bool = True,
    gradient: bool = False,
    max_length: int = MAX_LENGTH,
    threads: int | None = None,
) -> Trace:
    """Return a trace of a run on an input, as named tensors.

    Args:
        run: a run, or its folder.
        input: a text or a list of its tokens; a sentence or its words (tag); a source or a pair (source, target)
            (translate); an image, as `decode` takes it.
        attribution: whether to include the attribution of each answer to the inputs, which takes most of the time.
        gradient: whether to include the gradient of each answer with respect to the states of recurrent layers.
        max_length: maximum number of tokens; a longer input is truncated, and the trace's header says so.
        threads: CPU threads during the call; default: chosen by PyTorch.

    Returns:
        A mapping from names to tensors, such as trace["lstm.l0.f"], (T, H). `trace.summary()` lists them.

    Raises:
        DataError: the run cannot read the input.
        ConfigError: a max_length out of range, or the run is an ensemble.
        CheckpointError: a folder that cannot be loaded, see `load`.
    """
    with _use_threads(threads):
        return _run(run).explain(input, attribution=attribution, gradient=gradient, max_length=max_length)


def export(
    run: Run | str | Path, out: str | Path, to: str = "onnx", *, overwrite: bool = False, opset: int | None = None
) -> Path:
    """Write a run in the format of another library, checked against the run.

    The folder has all that is needed to answer without this package: graphs or weights, tokeniser, labels, and
    export.json, which describes them.

    Args:
        run: a run, or its folder.
        out: the folder to write.
        to: name of the format.

            - "onnx": graphs for onnxruntime and others (extra `onnx`).
            - "safetensors": weights with the names and shapes of torch.nn, and a module of plain PyTorch that loads
              them; of an imported GPT-2 the folder that transformers reads.
            - "torch": a program of torch.export, of models without recurrence.
        overwrite: whether an export in `out` may be replaced; it is, once the new one is complete.
        opset: with "onnx", version of its operators, from 18; None: 18, which most runtimes have.

    Returns:
        The folder.

    Raises:
        ConfigError: an unknown format, an option that it does not have or out of range, a library that is not
            installed, `out` exists, or the run is an ensemble.
        ExportError: a layer or cell that the format cannot express (named, with another way), or answers that are not
            the run's; nothing is written.
        CheckpointError: a run that cannot be loaded, or a folder that cannot be written.
    """
    return _run(run).export(out, to=to, overwrite=overwrite, opset=opset)


def trace(module: nn.Module, x: Tensor, hx: Any = None, *, sequence: int = 0) -> Trace:
    """Return every gate and state of one sequence of `module(x, hx)`.

    Args:
        module: a torch.nn.RNN, LSTM or GRU, or a model that contains some.
        x: the module's input, such as (T, B, D).
        hx: the module's second argument, such as the initial state; None: it is called with x alone.
        sequence: index of the sequence in the batch.

    Returns:
        A mapping from names to tensors without a batch axis, such as trace["lstm.l0.f"], (T, H). In a model the names
        begin with the path of the layer: trace["encoder.rnn.lstm.l0.f"].
    """
    from unrolled import inside, pictures  # noqa: F401  (pictures: a trace shows itself in a notebook)

    return inside.of_module(module, x, hx, sequence=sequence)


def inspect(data: object, *, config: Config | None = None, **settings: Unpack[Settings]) -> Report:
    """Return the data report: how `data` are read, and the issues that a training would suffer from.

    Args:
        data: the data, as `train` takes them.
        config: settings to start from; default: `Config()`.
        settings: any setting by its flat name, such as text="review" or task="tag".

    Returns:
        A report: `text()` to read, `to_dict()` as JSON values, `picture()` as SVG, `issues` one by one.

    Raises:
        DataError: the data cannot be read as requested; names file and line.
    """
    from unrolled import tasks

    config = from_flat(tasks.infer_settings(data, settings, config), base=config)
    return tasks.find(config).inspect(data, config)


def backends(*, measure: bool = False) -> dict[str, Any]:
    """Return the backends of this machine: conditions and cells of each, defaults, device, processor, kernels.

    Args:
        measure: measure the kernels and torch first, and keep the measurement in the user's cache folder, see
            `unrolled.scan.measured`; elsewhere than on x86-64, auto follows it.

    Raises:
        BackendError: `measure` without kernels.
        CheckpointError: the measurement cannot be written.
    """
    from unrolled.cells import CELLS
    from unrolled.kernels import native
    from unrolled.models.recurrent import make_cell

    cells = {name: make_cell(name, 1, ModelConfig(hidden_size=1, num_heads=1)) for name in CELLS}
    measurement = measured.measure() if measure else measured.load()
    return {
        "backends": {
            name: {
                "cells": [key for key, cell in cells.items() if all(c.holds for c in scan.conditions(name, cell))],
                "needs": [c._asdict() for c in scan.conditions(name)],
            }
            for name in scan.BACKENDS
        },
        "auto": {name: scan.choose("auto", cell) for name, cell in cells.items()},
        "device": str(machine.device("auto")),
        "machine": machine.describe(),
        "kernels": {"compiler": native.compiler(), "isa": native.isa(), "isas": native.isas()},
        "measurement": None if measurement is None else measurement.model_dump(),
        "auto_is_measured": not measured.IS_TUNED,
    }


def _use_threads(threads: int | None) -> AbstractContextManager[None]:
    """Return a block that computes with these threads, in the range of the setting of that name."""
    return machine.use_threads(from_flat({"threads": threads}).training.threads)


def _run(run: Run | str | Path) -> Run:
    return run if isinstance(run, Run) else load(run)
