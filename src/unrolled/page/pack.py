"""A run as JSON that the page computes: settings, vocabulary, weights, and the score on the test split.

    q_ij = round(w_ij / s_i),   s_i = max_j |w_ij| / 127        large matrices: one byte a number, one scale a row
    w_ij = s_i · q_ij                                            what the page computes with

The rest is float32. `exact` is whether the packed weights are the run's own: those of the page's networks are, since
they were rounded before they were evaluated.
"""

from __future__ import annotations

from base64 import b64encode
from typing import Any

import torch
from torch import Tensor

from unrolled.data.encoding.pairs import PairTokenizers
from unrolled.data.encoding.tokenizers import Tokenizer
from unrolled.errors import ConfigError
from unrolled.inside.memory import directions
from unrolled.runs.run import Run

__all__ = ["SMALLEST", "is_packed", "pack", "quantized"]

SMALLEST = 400
"""Matrices of no more numbers keep float32."""
SCORES = {"classify": "accuracy", "translate": "exact_match", "generate": "perplexity"}
"""The score that the page shows, by task; it computes no other task."""
LETTERS = ("word", "character")
SETTINGS = (
    "num_layers", "bidirectional", "read", "num_heads", "norm", "position", "nonlinearity", "cell", "reverse_source",
    "tied", "window",
)  # fmt: skip


def is_packed(weight: Tensor) -> bool:
    """Return whether a weight is packed to 8 bits a number."""
    return weight.dim() == 2 and weight.numel() > SMALLEST


def quantized(weight: Tensor) -> Tensor:
    """Return a matrix rounded to 8 bits a number with a scale for each row; a rounded matrix stays as it is."""
    q, scale = _rows(weight)
    return q * scale


def pack(run: Run, *, words: int | None = None) -> dict[str, Any]:
    """Return a run for `page`.

    Args:
        words: maximum size of the vocabulary of a model that answers once, whose most frequent words are kept: the
            others are unknown to the page. None: the whole vocabulary.

    Raises:
        ConfigError: the page cannot compute the run: its task, tokenizer or a setting of its model.
    """
    _refuse(run)
    weights = {name: weight.detach().float().cpu() for name, weight in run.model.state_dict().items()}
    config = run.config.model
    tokenizers = _tokenizers(run.preprocessor)
    if words is not None and run.config.task == "classify":
        weights["embedding.weight"] = weights["embedding.weight"][:words]
        tokenizers[0]["tokens"] = tokenizers[0]["tokens"][:words]
    return {
        "name": "" if run.path is None else run.path.name,
        "model": config.name,
        "task": run.config.task,
        "config": {name: getattr(config, name) for name in SETTINGS},
        "labels": list(run.labels),
        "tokenizers": tokenizers,
        "weights": {name: _packed(weight) for name, weight in weights.items()},
        "directions": directions(config.hidden_size).flatten().tolist() if config.name == "elman" else [],
        "exact": all(torch.equal(quantized(weight), weight) for weight in weights.values() if is_packed(weight)),
        "parameters": run.record["parameters"],
        "data": run.record["data"]["name"],
        "test": _test(run.record["result"], SCORES[run.config.task]),
    }


def _refuse(run: Run) -> None:
    model = run.config.model
    cell = model.cell or ""
    problem = ""
    if run.config.task not in SCORES or not isinstance(run.preprocessor, (Tokenizer, PairTokenizers)):
        problem = f"task {run.config.task}" if run.config.task not in SCORES else "images"
    elif (model.name, run.config.task) in (("transformer", "translate"), ("gpt", "translate")):
        problem = f"model {model.name} for task translate"
    elif run.config.task == "generate" and model.name != "gpt":
        problem = f"model {model.name} for task generate"
    elif others := [each.kind for each in _each(run.preprocessor) if each.kind not in LETTERS or each.num_whole_words]:
        problem = f"tokenizer {others[0]}"
    elif cell.startswith("layernorm") or cell not in ("", "elman", "lstm", "gru"):
        problem = f"cell {cell}"
    elif model.mixers or model.convolution:
        problem = "mixers or convolution"
    elif model.gated or model.normalization != "layer" or model.position == "rotary" or model.kv_heads:
        problem = "gated, normalization rms, position rotary or kv_heads"
    elif model.name == "attention" and model.score != "additive":
        problem = f"score {model.score}"
    elif model.num_layers > 1 and model.name in ("encoder_decoder", "attention"):
        problem = "more than one layer of an encoder and a decoder"
    if problem:
        raise ConfigError(f"the page cannot compute this run in the tab: it has no {problem}")


def _each(preprocessor: Tokenizer | PairTokenizers) -> list[Tokenizer]:
    if isinstance(preprocessor, PairTokenizers):
        return [preprocessor.source, preprocessor.target]
    return [preprocessor]


def _tokenizers(preprocessor: Any) -> list[dict[str, Any]]:
    """Return the tokenizer of the input or, for pairs, those of source and target."""
    return [
        {
            "kind": each.kind,
            "lowercase": each.lowercase,
            "normalize": each.normalize,
            "tokens": each.tokens(range(each.vocabulary_size)),
        }
        for each in _each(preprocessor)
    ]


def _rows(weight: Tensor) -> tuple[Tensor, Tensor]:
    """Return the integers of a matrix, and the scale of each row, (R, 1)."""
    scale = (weight.abs().amax(dim=1, keepdim=True) / 127).clamp(min=1e-12)
    return (weight / scale).round().clamp(-127, 127), scale


def _packed(weight: Tensor) -> dict[str, Any]:
    shape = list(weight.shape)
    if not is_packed(weight):
        return {"shape": shape, "f32": _base64(weight)}
    q, scale = _rows(weight)
    return {"shape": shape, "q8": _base64(q.to(torch.int8)), "scale": _base64(scale)}


def _base64(tensor: Tensor) -> str:
    return b64encode(tensor.contiguous().numpy().tobytes()).decode()


def _test(result: dict[str, Any] | None, name: str) -> dict[str, Any]:
    """Return the score on the test split: its name, value, interval and, of pairs, its value by length."""
    result = result or {}
    lengths = [
        [each["shortest"], each["longest"], each["exact_match"]]
        for each in result.get("by_length", ())
        if name == "exact_match"
    ]
    return {
        "name": name,
        "value": result.get(name),
        "interval": result.get(f"{name}_interval"),
        "n": result.get("n"),
        "by_length": lengths,
    }
