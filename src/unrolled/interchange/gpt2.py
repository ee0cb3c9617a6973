"""GPT-2 in the layout of Hugging Face, into model gpt and back.

    ours                               GPT-2's                      transposed
    embedding.weight                   wte.weight                   rows in another order, see below
    blocks.position.weight             wpe.weight
    blocks.blocks.i.norms.0            h.i.ln_1
    blocks.blocks.i.mixer.project      h.i.attn.c_attn              yes: y = x W + b there, y = W x + b here
    blocks.blocks.i.mixer.output       h.i.attn.c_proj              yes
    blocks.blocks.i.norms.1            h.i.ln_2
    blocks.blocks.i.feedforward.0      h.i.mlp.c_fc                 yes
    blocks.blocks.i.feedforward.3      h.i.mlp.c_proj               yes
    blocks.norm                        ln_f
    head.weight, unless tied           lm_head.weight               rows as those of wte
    head.bias                          none: 0, and LACKING for tokens that GPT-2 lacks

The rows of the embedding follow our vocabulary, in which the five special tokens stand before the bytes and the merges
(gpt2_tokenizer.py). <bos> and <eos> both have the row of GPT-2's <|endoftext|>, which begins and ends its texts; a text
that is decoded or evaluated thus begins with <|endoftext|>. GPT-2 has no <pad>, <unk> and <sep>, and one row for <bos>
and <eos>: the bias of the logits gives those that it lacks the probability 0, and is not trained (`head_bias`), so that
the probabilities of all others are GPT-2's, and stay so in a training from it.

Radford et al., "Language models are unsupervised multitask learners", 2019.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal

import safetensors.torch
import torch
from pydantic import Field
from torch import Tensor

from unrolled import atomic, machine
from unrolled.config import Config, from_flat
from unrolled.data.special import BOS, EOS, PAD, SEP, UNK
from unrolled.errors import CheckpointError, ExportError, excerpt
from unrolled.interchange.formats import RECORD
from unrolled.interchange.gpt2_tokenizer import (
    Vocabulary,
    read_vocabulary,
    tokenizer_files,
    vocabulary_of,
)
from unrolled.interchange.imported import LACKING, empty_model, file_bytes, imported_run
from unrolled.interchange.record import head
from unrolled.runs.folder import WEIGHTS, to_json
from unrolled.runs.generation import GenerationRun
from unrolled.runs.run import Run
from unrolled.runs.weights import load_tensors, refuse_infinite
from unrolled.saved import Open, Size, valid

__all__ = ["CONFIG", "INDEX", "LACKING", "fits", "read", "refuse_other", "write"]

CONFIG, INDEX = "config.json", "model.safetensors.index.json"
LAYOUT = "GPT-2"
BIAS = {PAD: LACKING, UNK: LACKING, BOS: LACKING, EOS: 0.0, SEP: LACKING}
"""Logit bias of the special tokens, where one row stands for <bos> and <eos>."""
LEARNING_RATE = 6.25e-5
"""Of a training from it: that of the fine-tuning in Radford et al. 2018, section 4.1."""
EPSILON = 1e-5
"""Of our layer norm."""
ACTIVATIONS = {
    "gelu_new": "gelu_tanh",
    "gelu_pytorch_tanh": "gelu_tanh",
    "gelu": "gelu",
    "relu": "relu",
    "silu": "silu",
    "tanh": "tanh",
}
"""Our nonlinearity for each of theirs; of two that mean the same, the first is written."""
LINEAR = {
    "attn.c_attn": "mixer.project",
    "attn.c_proj": "mixer.output",
    "mlp.c_fc": "feedforward.0",
    "mlp.c_proj": "feedforward.3",
}
NORMS = {"ln_1": "norms.0", "ln_2": "norms.1"}
BUFFER = re.compile(r"h\.\d+\.attn\.(masked_)?bias")
"""Tensors of older files that are no weights: the causal mask, and a constant."""
ShardName = Annotated[str, Field(pattern=r"^[\w.-]+\.safetensors$")]


class GPT2Config(Open):
    """The content of config.json: the sizes, and the options that have no other value here."""

    model_type: Literal["gpt2"]
    vocab_size: Size
    n_positions: Size
    n_embd: Size
    n_layer: Size
    n_head: Size
    n_inner: Size | None = None
    activation_function: Literal["gelu_new", "gelu_pytorch_tanh", "gelu", "relu", "silu", "tanh"] = "gelu_new"
    layer_norm_epsilon: Annotated[float, Field(ge=EPSILON, le=EPSILON)] = EPSILON
    resid_pdrop: Annotated[float, Field(ge=0, lt=1)] = 0.1
    tie_word_embeddings: bool = True
    scale_attn_weights: Literal[True] = True
    scale_attn_by_inverse_layer_idx: Literal[False] = False
    add_cross_attention: Literal[False] = False
    bos_token_id: int | None = None
    eos_token_id: int | None = None
    pad_token_id: int | None = None


class _Index(Open):
    """The index of the shards: the file of each tensor."""

    weight_map: dict[str, ShardName]


def read(folder: Path) -> GenerationRun:
    """Return a GPT-2 as a run in memory.

    Args:
        folder: folder with config.json, model.safetensors (or its shards and their index) and the tokeniser's files.

    Raises:
        CheckpointError: a file is missing, damaged or of another architecture; a tensor is missing or foreign; an
            option or a token has no equivalent here.
    """
    hf = valid(GPT2Config, folder / CONFIG, file_bytes(folder / CONFIG), problem="is no GPT-2 that can be imported")
    vocabulary = read_vocabulary(folder, bos=hf.bos_token_id, eos=hf.eos_token_id, pad=hf.pad_token_id)
    if hf.vocab_size != vocabulary.size:
        raise CheckpointError(
            f"{folder / CONFIG} has vocab_size {hf.vocab_size:,}, and the tokeniser has {vocabulary.size:,} tokens: "
            "each row needs a token; in transformers, model.resize_token_embeddings(len(tokenizer)) removes the others"
        )
    V = vocabulary.tokenizer.vocabulary_size
    config, files = _settings(hf, V), _weight_files(folder)
    weights = _weights(folder, _tensors(files), config, vocabulary)
    refuse_infinite(files[0], weights)
    return imported_run(
        GenerationRun,
        config,
        weights,
        vocabulary.tokenizer,
        layout=LAYOUT,
        source=folder,
        files=[folder / CONFIG, *tokenizer_files(folder), *files],
        data={"counts": [0] * V},
    )


def write(run: Run, folder: Path) -> None:
    """Write a run of model gpt as a folder that transformers reads: config, weights, vocabulary and merges.

    The logits of GPT2LMHeadModel equal the run's, for all tokens that GPT-2 has. A run that was imported and not
    trained since is written with the same bits. Where a training has given <bos> and <eos> different rows, the written
    model is not tied: <|endoftext|> has the row of <bos> as an input, and that of <eos> as an output.

    Args:
        run: the run.
        folder: a new folder.

    Raises:
        ExportError: an option of the run has no equivalent in GPT-2; the message names it.
        CheckpointError: the folder cannot be written.
    """
    refuse_other(run)
    weights = {name: value.detach().cpu() for name, value in run.model.state_dict().items()}
    vocabulary = vocabulary_of(run.tokenizer, distinct_bos=float(weights["head.bias"][BOS]) != LACKING)
    inputs = vocabulary.gathered(weights["embedding.weight"], begins=True)
    outputs = vocabulary.gathered(weights.get("head.weight", weights["embedding.weight"]))
    tied = run.config.model.tied and torch.equal(inputs, outputs)
    tensors = {"transformer.wte.weight": inputs} | ({} if tied else {"lm_head.weight": outputs})
    for ours, theirs, transposed in _names(run.config.model.num_layers):
        tensors[f"transformer.{theirs}"] = (weights[ours].T if transposed else weights[ours]).contiguous()
    files = {
        CONFIG: to_json(_hf_config(run.config, vocabulary, tied=tied)),
        WEIGHTS: safetensors.torch.save(tensors, {"format": "pt"}),
        **vocabulary.files(),
        RECORD: to_json(head(run, "safetensors")),
    }
    atomic.write(folder, files)


def refuse_other(run: Run) -> None:
    """Refuse a run that GPT-2's layout cannot hold.

    Raises:
        ExportError: names the first option, its value and the value that GPT-2 has.
    """
    model, data = run.config.model, run.config.data
    size = model.hidden_size
    wanted = {
        "model": (model.name, "gpt"),
        "task": (run.config.task, "generate"),
        "tokenizer": (data.tokenizer, "bpe"),
        "normalize": (data.normalize, "none"),
        "position": (model.position, "learned"),
        "norm": (model.norm, "pre"),
        "normalization": (model.normalization, "layer"),
        "gated": (model.gated, False),
        "kv_heads": (model.kv_heads or model.num_heads, model.num_heads),
        "embedding_size": (model.embedding_size, size),
        "head_bias": (model.head_bias, False),
    }
    for name, (value, needed) in wanted.items():
        if value != needed:
            raise ExportError(f"GPT-2 has {name} {json.dumps(needed)}, and this run {json.dumps(value)}")
    bias = run.model.state_dict()["head.bias"].cpu()
    special = torch.tensor([bias[BOS] if token == BOS else BIAS[token] for token in range(len(BIAS))])
    if not torch.equal(bias, torch.nn.functional.pad(special, (0, len(bias) - len(BIAS)))):
        raise ExportError(
            "GPT-2 has no <pad>, <unk> and <sep>, and this run gives them probabilities: only runs that were imported "
            "from GPT-2, or trained from one, have its layout"
        )


def fits(run: Run) -> bool:
    """Return whether GPT-2's layout can hold a run; see `refuse_other`."""
    try:
        refuse_other(run)
    except ExportError:
        return False
    return True


def _settings(hf: GPT2Config, vocabulary_size: int) -> Config:
    return from_flat(
        {
            "task": "generate",
            "model": "gpt",
            "tokenizer": "bpe",
            "vocabulary_size": vocabulary_size,
            "embedding_size": hf.n_embd,
            "hidden_size": hf.n_embd,
            "num_layers": hf.n_layer,
            "num_heads": hf.n_head,
            "feedforward_size": hf.n_inner,
            "window": hf.n_positions,
            "position": "learned",
            "nonlinearity": ACTIVATIONS[hf.activation_function],
            "tied": hf.tie_word_embeddings,
            "head_bias": False,
            "dropout": hf.resid_pdrop,
            "learning_rate": LEARNING_RATE,
        }
    )


def _hf_config(config: Config, vocabulary: Vocabulary, *, tied: bool) -> dict[str, Any]:
    """Return the content of config.json for a run's settings."""
    model = config.model
    activation = model.nonlinearity or "gelu"
    return {
        "architectures": ["GPT2LMHeadModel"],
        "model_type": "gpt2",
        "vocab_size": vocabulary.size,
        "n_positions": model.window,
        "n_embd": model.hidden_size,
        "n_layer": model.num_layers,
        "n_head": model.num_heads,
        "n_inner": model.feedforward_size,
        "activation_function": next(theirs for theirs, ours in ACTIVATIONS.items() if ours == activation),
        "layer_norm_epsilon": EPSILON,
        "resid_pdrop": model.dropout,
        "embd_pdrop": model.dropout,
        "attn_pdrop": 0.0,
        "tie_word_embeddings": tied,
        "bos_token_id": vocabulary.bos,
        "eos_token_id": vocabulary.eos,
        "torch_dtype": "float32",
    }


def _names(num_layers: int) -> Iterator[tuple[str, str, bool]]:
    """Yield our name, GPT-2's and whether the matrix is transposed, for all tensors but embedding and head."""
    yield "blocks.position.weight", "wpe.weight", False
    for end in ("weight", "bias"):
        yield f"blocks.norm.{end}", f"ln_f.{end}", False
        for i in range(num_layers):
            for theirs, ours in (LINEAR | NORMS).items():
                transposed = theirs in LINEAR and end == "weight"
                yield f"blocks.blocks.{i}.{ours}.{end}", f"h.{i}.{theirs}.{end}", transposed


def _weights(folder: Path, theirs: dict[str, Tensor], config: Config, vocabulary: Vocabulary) -> dict[str, Tensor]:
    """Return every tensor of the model by our names, from those of GPT-2.

    Args:
        folder: folder of the files, for the message.
        theirs: tensors of the files by GPT-2's names.
        config: settings of the run.
        vocabulary: order of the rows of embedding and head.

    Raises:
        CheckpointError: names the first tensor that is missing, has another shape or is foreign.
    """
    with machine.without_values():
        expected = empty_model(GenerationRun, config, vocabulary.tokenizer, ()).state_dict()

    def take(name: str, shape: tuple[int, ...]) -> Tensor:
        if name not in theirs:
            raise CheckpointError(f"{folder} lacks the tensor {name} of a GPT-2: copy its files again")
        tensor = theirs.pop(name)
        if tuple(tensor.shape) != shape:
            raise CheckpointError(f"{folder} has {name} of shape {tuple(tensor.shape)}: {CONFIG} asks for {shape}")
        return tensor.float()

    rows = vocabulary.size, config.model.embedding_size
    wte = take("wte.weight", rows)
    weights = {"embedding.weight": vocabulary.spread(wte), "head.bias": _bias(vocabulary)}
    if "head.weight" in expected:
        weights["head.weight"] = vocabulary.spread(take("lm_head.weight", rows))
    elif "lm_head.weight" in theirs and not torch.equal(take("lm_head.weight", rows), wte):
        raise CheckpointError(
            f"{folder} has an lm_head.weight that is not wte.weight, and {CONFIG} ties them: set tie_word_embeddings "
            "to false there"
        )
    for ours, name, transposed in _names(config.model.num_layers):
        shape = tuple(expected[ours].shape)
        tensor = take(name, shape[::-1] if transposed else shape)
        weights[ours] = (tensor.T if transposed else tensor).contiguous()
    if theirs:
        raise CheckpointError(f"{folder} has a tensor that is not GPT-2's: {excerpt(min(theirs))}")
    return weights


def _bias(vocabulary: Vocabulary) -> Tensor:
    """Return the bias of the logits, (V,): LACKING for the special tokens that GPT-2 lacks."""
    bias = torch.zeros(vocabulary.tokenizer.vocabulary_size)
    bias[list(BIAS)] = torch.tensor(list(BIAS.values()))
    if vocabulary.bos != vocabulary.eos:
        bias[BOS] = 0.0
    return bias


def _weight_files(folder: Path) -> list[Path]:
    """Return the files of the weights: one, or the shards that the index names.

    Raises:
        CheckpointError: there is none, or the index is damaged.
    """
    if (folder / WEIGHTS).is_file():
        return [folder / WEIGHTS]
    if (folder / INDEX).is_file():
        index = valid(_Index, folder / INDEX, file_bytes(folder / INDEX), problem="is no index of safetensors files")
        return [folder / name for name in sorted(set(index.weight_map.values()))]
    raise CheckpointError(
        f"{folder} has neither {WEIGHTS} nor {INDEX}: save the model again with save_pretrained of transformers, which "
        "writes safetensors; pickled weights (pytorch_model.bin) are not read"
    )


def _tensors(files: list[Path]) -> dict[str, Tensor]:
    """Return the tensors of safetensors files by GPT-2's names, with the prefix of the model removed."""
    tensors = {name: tensor for file in files for name, tensor in load_tensors(file, file_bytes(file)).items()}
    named = {name.removeprefix("transformer."): tensor for name, tensor in tensors.items()}
    return {name: tensor for name, tensor in named.items() if not BUFFER.fullmatch(name)}
