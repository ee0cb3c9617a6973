"""The files next to the graphs: export.json, the tokenisers, README.md."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from unrolled.data.encoding.pairs import PairTokenizers
from unrolled.data.encoding.pixels import Pixels
from unrolled.data.encoding.tokenizers import Tokenizer
from unrolled.interchange.formats import RECORD
from unrolled.interchange.onnx.graph import Graph, Port
from unrolled.interchange.record import head
from unrolled.models import Pairs
from unrolled.models.gpt import GPTModel
from unrolled.runs.folder import to_json
from unrolled.runs.regression import RegressionRun
from unrolled.runs.run import Run
from unrolled.runs.schema import SPECIAL_IDS
from unrolled.runs.translation import TranslationRun
from unrolled.version import __version__

__all__ = ["files"]


def files(run: Run, graphs: Mapping[str, Graph], opset: int, difference: float) -> dict[str, bytes]:
    """Return the files next to the graphs by name.

    Args:
        run: the run.
        graphs: its graphs by name.
        opset: version of ONNX's operators.
        difference: the largest difference between onnxruntime's answers and the run's.
    """
    tokenizers = _tokenizers(run)
    record = {
        **head(run, "onnx"),
        "opset": opset,
        "graphs": {name: _graph(graph, name) for name, graph in graphs.items()},
        "special_ids": SPECIAL_IDS,
        "tokenizers": {side: file for side, (file, _) in tokenizers.items()},
        **_lengths(run),
        **_answers(run),
        "largest_difference": difference,
    }
    own = {file: tokenizer.to_json().encode() for file, tokenizer in tokenizers.values()}
    return own | {RECORD: to_json(record), "README.md": _card(run, graphs, opset, difference).encode()}


def _graph(graph: Graph, name: str) -> dict[str, Any]:
    ports = {"inputs": graph.inputs, "outputs": graph.outputs}
    return {"file": f"{name}.onnx", **{kind: [_port(port) for port in each] for kind, each in ports.items()}}


def _port(port: Port) -> dict[str, Any]:
    return {"name": port.name, "dtype": port.dtype, "shape": list(port.shape)}


def _tokenizers(run: Run) -> dict[str, tuple[str, Tokenizer]]:
    """Return the file and the tokeniser of each kind of text."""
    own = run.preprocessor
    if isinstance(own, PairTokenizers):
        if own.shared:
            return dict.fromkeys(("source", "target"), (Tokenizer.FILE, own.source))
        return {side: (f"{side}_{Tokenizer.FILE}", getattr(own, side)) for side in ("source", "target")}
    return {"text": (Tokenizer.FILE, own)} if isinstance(own, Tokenizer) else {}


def _lengths(run: Run) -> dict[str, Any]:
    """Return the maximum lengths of sequences, in steps; None: unlimited."""
    model = run.model
    if not isinstance(model.inputs, Pairs):
        return {"max_length": model.max_length}
    shared = isinstance(model, GPTModel)
    longest = model.blocks.max_length if isinstance(model, GPTModel) else model.max_source_length
    return {"max_length": longest, "max_source_length": model.max_source_length, "shared_length": shared}


def _answers(run: Run) -> dict[str, Any]:
    """Return the entries of export.json that only some tasks have."""
    entries: dict[str, Any] = {}
    if isinstance(run.preprocessor, Pixels):
        entries["images"] = run.preprocessor.model_dump()
    if isinstance(run, RegressionRun):
        entries["scale"] = run.scale._asdict()
    if isinstance(run, TranslationRun):
        entries["default_length"] = run.default_length()
    if run.config.task == "tag":
        entries["whole_words"] = bool(run.tokenizer.num_whole_words)
    if run.config.task in ("classify", "tag"):
        entries |= {"multi_label": run.config.data.multi_label, "temperature": run.temperature}
    return entries


HOW_TO = {
    "classify": "The class is that of the largest of `probabilities`; its name is in `labels` of export.json.",
    "multi_label": "Every label with one of `probabilities` of at least 0.5 is an answer (`labels` in export.json).",
    "regress": "`value` is the number, in the unit of the training data.",
    "tag": "Each word is encoded alone, with a space before it (` word`), followed by, if `whole_words` is true, the "
    "id of the token ` word` (<unk> if there is none); the tag of a word is at its last id.",
    "translate": "`encoder` reads a source; `decoder` reads <bos>, then each chosen token, until <eos>.",
    "generate": "The graph reads <bos> and a text, then each chosen token; logits are of the next token.",
}
STATE = (
    "`present.X` of a call is `past.X` of the next. Before the first it is the encoder's `present.X` if there is one, "
    "else zeros; the axis past_time is then 0."
)


def _card(run: Run, graphs: Mapping[str, Graph], opset: int, difference: float) -> str:
    """Return README.md."""
    kind = "multi_label" if run.config.data.multi_label else run.config.task
    lines = [
        f"# {run.config.model.name} for task {run.config.task}, as ONNX",
        "",
        f"Exported by unrolled {__version__} with opset {opset}. onnxruntime's answers and states are the run's, up to "
        f"{difference:.1e}. `{RECORD}` has all that is needed to answer.",
        "",
        HOW_TO[kind],
        *([STATE] if any(port.name.startswith("past.") for graph in graphs.values() for port in graph.inputs) else []),
        "",
        "| graph | | name | type | shape |",
        "|---|---|---|---|---|",
    ]
    for name, graph in graphs.items():
        for title, ports in (("input", graph.inputs), ("output", graph.outputs)):
            lines += [
                f"| {name} | {title} | {port.name} | {port.dtype} | {', '.join(map(str, port.shape))} |"
                for port in ports
            ]
    return "\n".join(lines) + "\n"
