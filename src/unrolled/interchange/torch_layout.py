"""A run's weights in the layout of torch.nn, with a file of plain PyTorch that builds the network.

model.safetensors   names and shapes of torch.nn: Embedding, RNN, LSTM, GRU, TransformerEncoder and -Decoder, Linear
export.json         the arguments of the network, labels (one a text, or several), temperature
model.py            the network and `load(folder)`, with imports of torch and safetensors only (interchange/plain/)
tokenizer.json      the preprocessor, as in the run

A model of blocks needs what torch.nn has: layer norm, no gate, no grouped heads, no rotary positions. A tied head is
written with its own copy of the weights. Model gpt is written in the layout of GPT-2 where it has one (gpt2.py).

One bias a gate: those of torch's second bias are zero, see layers/torch.py.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from importlib import resources
from pathlib import Path
from typing import Any, NamedTuple

import safetensors.torch
import torch
from torch import Tensor, nn

from unrolled import atomic, machine
from unrolled.cells import ElmanCell
from unrolled.errors import ConfigError, ExportError
from unrolled.interchange import gpt2
from unrolled.interchange.checks import Batch, refuse_difference
from unrolled.interchange.formats import RECORD
from unrolled.interchange.plain import bag, recurrent, transformer
from unrolled.interchange.record import head
from unrolled.layers import Blocks, Dropout, Recurrent, to_torch
from unrolled.models import Features, Model, Pairs
from unrolled.models.feedforward import FeedforwardModel
from unrolled.models.gpt import GPTModel
from unrolled.models.recurrent import RecurrentModel
from unrolled.models.transformer import TransformerModel
from unrolled.runs.folder import WEIGHTS, to_json
from unrolled.runs.run import Run

__all__ = ["write"]

CODE = "model.py"


class Plain(NamedTuple):
    """A network of plain PyTorch.

    Args:
        file: name of its file in `plain`, without ending.
        network: class of the network.
        arguments: its arguments.
        weights: its tensors by name.
    """

    file: str
    network: type[nn.Module]
    arguments: dict[str, Any]
    weights: dict[str, Tensor]


def write(run: Run, folder: Path) -> None:
    """Write the weights of a run in the layout of torch.nn, and a module that loads them without this package.

    Args:
        run: the run.
        folder: a new folder.

    Raises:
        ExportError: a part of the model has no equivalent in torch.nn, which the message names; or the network's logits
            differ from the run's.
        CheckpointError: the folder cannot be written.
    """
    if gpt2.fits(run):
        gpt2.write(run, folder)
        return
    plain = _plain(run.model)
    with machine.without_values():
        network = plain.network(**plain.arguments)
    network.load_state_dict(plain.weights, assign=True)
    network.eval()
    difference = refuse_difference(run, lambda batch: _logits(network, batch), "modules of torch.nn")
    description = {
        **head(run, "safetensors"),
        "arguments": plain.arguments,
        "multi_label": run.config.data.multi_label,
        "temperature": run.temperature,
        "largest_difference": difference,
    }
    code = resources.files("unrolled.interchange.plain").joinpath(f"{plain.file}.py").read_bytes()
    tensors = {name: value.clone().contiguous() for name, value in plain.weights.items()}
    files = {
        WEIGHTS: safetensors.torch.save(tensors, {"format": "pt"}),
        RECORD: to_json(description),
        CODE: code,
        run.preprocessor.FILE: run.preprocessor.to_json().encode(),
    }
    atomic.write(folder, files)


def _plain(model: Model) -> Plain:
    """Return the network that is equivalent to a model.

    Raises:
        ExportError: names the part that torch.nn does not have.
    """
    if isinstance(model, RecurrentModel):
        return _recurrent(model)
    if isinstance(model, FeedforwardModel) and model.window is None:
        return _bag(model)
    if isinstance(model, TransformerModel) or (isinstance(model, GPTModel) and not isinstance(model.inputs, Pairs)):
        return _transformer(model)
    parts = {
        "encoder_decoder": "a bridge between its encoder and its decoder",
        "attention": "a decoder that attends before each of its steps",
        "feedforward": "a window over the last tokens",
        "gpt": "one sequence of a source and its target",
    }
    name = model.config.name
    raise ExportError(f"torch.nn has no module for {parts[name]}, a part of model {name}: use --to onnx")


def _recurrent(model: RecurrentModel) -> Plain:
    """Return an embedding, a torch.nn.RNN, LSTM or GRU, and a linear layer.

    Raises:
        ExportError: a cell or an option that torch.nn does not have.
    """
    layers = copy.deepcopy(model.layers).cpu()
    for layer in layers.modules():
        if isinstance(layer, Recurrent):
            layer.recurrent_dropout = 0.0  # of training alone
        if isinstance(layer, Dropout):
            layer.rate = 0.0
    try:
        theirs = to_torch(layers)
    except ConfigError as error:
        raise ExportError(f"{error}; use --to onnx") from None
    cell = layers.cells[0]
    arguments = {
        "layers": type(theirs).__name__,
        "options": {"nonlinearity": cell.nonlinearity} if isinstance(cell, ElmanCell) else {},
        "vocabulary_size": _vocabulary_size(model),
        "input_size": model.input_size,
        "hidden_size": theirs.hidden_size,
        "num_layers": theirs.num_layers,
        "bidirectional": theirs.bidirectional,
        "num_outputs": model.num_outputs,
        "read": "each" if model.answer == "each" else model.read,
    }
    weights = {f"layers.{name}": value for name, value in theirs.state_dict().items()}
    return Plain("recurrent", recurrent.Network, arguments, {**_ends(model), **weights})


def _bag(model: FeedforwardModel) -> Plain:
    """Return an embedding, a pool and linear layers."""
    assert model.bag is not None
    state = model.mlp.steps.state_dict()
    linears = [i for i, step in enumerate(model.mlp.steps) if isinstance(step, nn.Linear)]
    weights = {
        f"layers.{2 * k}.{end}": state[f"{i}.{end}"] for k, i in enumerate(linears) for end in ("weight", "bias")
    }
    sizes = [model.input_size, *(int(state[f"{i}.weight"].shape[0]) for i in linears)]
    arguments = {
        "vocabulary_size": _vocabulary_size(model),
        "sizes": sizes,
        "num_outputs": model.num_outputs,
        "nonlinearity": model.config.nonlinearity or "relu",
        "read": model.bag.pool,
    }
    return Plain("bag", bag.Network, arguments, {**_ends(model), **_on_cpu(weights)})


def _transformer(model: TransformerModel | GPTModel) -> Plain:
    """Return embeddings, a TransformerEncoder (and a TransformerDecoder), and a linear layer."""
    config = model.config
    for name, value, needed in (
        ("position", config.position, ("sinusoidal", "learned")),
        ("normalization", config.normalization, ("layer",)),
        ("gated", config.gated, (False,)),
        ("kv_heads", config.kv_heads or config.num_heads, (config.num_heads,)),
    ):
        if value not in needed:
            raise ExportError(
                f"torch.nn's Transformer has no equivalent of {name} {value}: use --to onnx, or train with {name} "
                f"{' or '.join(map(str, needed))}"
            )
    decoder = getattr(model, "decoder", None)
    causal = isinstance(model, GPTModel) or decoder is not None
    usual = "gelu" if isinstance(model, GPTModel) else "relu"
    blocks = {
        "size": config.hidden_size,
        "num_heads": config.num_heads,
        "feedforward_size": config.feedforward_size or 4 * config.hidden_size,
        "num_layers": config.num_layers,
        "nonlinearity": config.nonlinearity or usual,
        "norm": config.norm,
        "positions": model.blocks.max_length if config.position == "learned" else None,
    }
    arguments = {
        "vocabulary_size": _vocabulary_size(model),
        "input_size": model.input_size,
        "blocks": blocks,
        "causal": causal,
        "source_size": model.inputs.source_size if isinstance(model.inputs, Pairs) else None,
        "num_outputs": model.num_outputs,
        "read": "each" if model.answer == "each" else config.read or "mean",
    }
    stacks = {"encoder": model.blocks} | ({} if decoder is None else {"decoder": decoder})
    weights = {f"{name}.{key}": value for name, stack in stacks.items() for key, value in _stack(stack)}
    if isinstance(model.inputs, Pairs):
        source = model.source_embedding or model.embedding
        assert source is not None
        weights["source_embedding.weight"] = source.weight
    return Plain("transformer", transformer.Network, arguments, {**_ends(model), **_on_cpu(weights)})


def _stack(stack: Blocks) -> Iterator[tuple[str, Tensor]]:
    """Yield name and value of each tensor of a stack, as torch.nn names them."""
    state = stack.state_dict()
    for end in ("weight", "bias"):
        if f"enter.{end}" in state:
            yield f"enter.{end}", state[f"enter.{end}"]
        if f"norm.{end}" in state:
            yield f"blocks.norm.{end}", state[f"norm.{end}"]
    if "position.weight" in state:
        yield "position", state["position.weight"]
    for i, block in enumerate(stack.blocks):
        for name, value in _block(block.state_dict(), crosses=block.cross is not None):
            yield f"blocks.layers.{i}.{name}", value


def _block(state: dict[str, Tensor], *, crosses: bool) -> Iterator[tuple[str, Tensor]]:
    """Yield name and value of each tensor of a block."""
    for end in ("weight", "bias"):
        yield f"self_attn.in_proj_{end}", state[f"mixer.project.{end}"]
        yield f"self_attn.out_proj.{end}", state[f"mixer.output.{end}"]
        yield f"linear1.{end}", state[f"feedforward.0.{end}"]
        yield f"linear2.{end}", state[f"feedforward.3.{end}"]
        for k in range(3 if crosses else 2):
            yield f"norm{k + 1}.{end}", state[f"norms.{k}.{end}"]
        if crosses:
            yield f"multihead_attn.in_proj_{end}", torch.cat([state[f"cross.{x}.{end}"] for x in ("query", "project")])
            yield f"multihead_attn.out_proj.{end}", state[f"cross.output.{end}"]


def _ends(model: Model) -> dict[str, Tensor]:
    """Return the weights of embedding and head; those of a tied head are E P."""
    state = {name: value for name, value in model.state_dict().items() if name.startswith(("embedding.", "head."))}
    projection = state.pop("head.project.weight", None)
    if "head.weight" not in state:
        E = state["embedding.weight"]
        state["head.weight"] = E if projection is None else E @ projection
    return _on_cpu(state)


def _on_cpu(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: value.detach().cpu() for name, value in weights.items()}


def _vocabulary_size(model: Model) -> int | None:
    return None if isinstance(model.inputs, Features) else model.inputs.vocabulary_size


@torch.inference_mode()
def _logits(network: nn.Module, batch: Batch) -> Tensor:
    if batch.source is None:
        alone: Tensor = network(batch.inputs, batch.lengths)
        return alone
    logits: Tensor = network(batch.inputs, batch.lengths, batch.source, batch.source_lengths)
    return logits
