"""A small GPT-2 in the layout of Hugging Face, with random weights, and its forward pass in numpy."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import save_file
from tokenizers import Tokenizer, models, pre_tokenizers
from torch import Tensor

D, N, L, POSITIONS = 8, 2, 2, 12
MERGES = [("h", "e"), ("Ġ", "t"), ("Ġt", "he"), ("l", "l"), ("he", "ll"), ("o", "Ġ")]
BYTES = sorted(pre_tokenizers.ByteLevel.alphabet())
VOCABULARY = {token: i for i, token in enumerate([*BYTES, *(a + b for a, b in MERGES), "<|endoftext|>"])}
V = len(VOCABULARY)
END = V - 1
CONFIG: dict[str, Any] = {
    "model_type": "gpt2",
    "vocab_size": V,
    "n_positions": POSITIONS,
    "n_embd": D,
    "n_layer": L,
    "n_head": N,
    "activation_function": "gelu_new",
    "bos_token_id": END,
    "eos_token_id": END,
}


def tensors(*, untied: bool = False) -> dict[str, Tensor]:
    """Random weights by GPT-2's names."""
    torch.manual_seed(0)
    shapes: dict[str, tuple[int, ...]] = {"wte.weight": (V, D), "wpe.weight": (POSITIONS, D)}
    for i in range(L):
        for name, sizes in (("attn.c_attn", (D, 3 * D)), ("attn.c_proj", (D, D))):
            shapes |= {f"h.{i}.{name}.weight": sizes, f"h.{i}.{name}.bias": sizes[1:]}
        for name, sizes in (("mlp.c_fc", (D, 4 * D)), ("mlp.c_proj", (4 * D, D))):
            shapes |= {f"h.{i}.{name}.weight": sizes, f"h.{i}.{name}.bias": sizes[1:]}
        shapes |= {f"h.{i}.{norm}.{end}": (D,) for norm in ("ln_1", "ln_2") for end in ("weight", "bias")}
    shapes |= {"ln_f.weight": (D,), "ln_f.bias": (D,), **({"lm_head.weight": (V, D)} if untied else {})}
    return {name: torch.randn(shape) * 0.5 for name, shape in shapes.items()}


def make(folder: Path, *, weights: Mapping[str, Tensor] | None = None, **config: Any) -> Path:
    """Write the folder; config overrides entries of config.json."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps({**CONFIG, **config}))
    save_file(dict(tensors() if weights is None else weights), folder / "model.safetensors", {"format": "pt"})
    (folder / "vocab.json").write_text(json.dumps(VOCABULARY))
    (folder / "merges.txt").write_text("#version: 0.2\n" + "".join(f"{a} {b}\n" for a, b in MERGES), encoding="utf-8")
    return folder


def library_ids(text: str) -> list[int]:
    """GPT-2's ids of a text, by the library's own byte pairs."""
    tokenizer = Tokenizer(models.BPE({t: i for t, i in VOCABULARY.items() if i != END}, MERGES))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    return list(tokenizer.encode(text).ids)


def logits(weights: Mapping[str, Tensor], ids: list[int]) -> NDArray[np.float64]:
    """GPT-2's logits (T, V) of ids (T,), in float64: Radford et al. 2019, as its authors' code computes them."""
    w = {name.removeprefix("transformer."): value.double().numpy() for name, value in weights.items()}

    def linear(x: NDArray[Any], name: str) -> NDArray[Any]:
        return np.asarray(x @ w[f"{name}.weight"] + w[f"{name}.bias"])

    def norm(x: NDArray[Any], name: str) -> NDArray[Any]:
        normal = (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 1e-5)
        return np.asarray(normal * w[f"{name}.weight"] + w[f"{name}.bias"])

    T = len(ids)
    x = w["wte.weight"][ids] + w["wpe.weight"][:T]
    for i in range(L):
        q, k, v = np.split(linear(norm(x, f"h.{i}.ln_1"), f"h.{i}.attn.c_attn"), 3, axis=-1)
        contexts = []
        for head in range(N):
            at = slice(head * D // N, (head + 1) * D // N)
            scores = q[:, at] @ k[:, at].T / np.sqrt(D / N)
            scores[np.triu_indices(T, 1)] = -np.inf
            e = np.exp(scores - scores.max(-1, keepdims=True))
            contexts.append(e / e.sum(-1, keepdims=True) @ v[:, at])
        x = x + linear(np.concatenate(contexts, -1), f"h.{i}.attn.c_proj")
        a = linear(norm(x, f"h.{i}.ln_2"), f"h.{i}.mlp.c_fc")
        x = x + linear(a / 2 * (1 + np.tanh(np.sqrt(2 / np.pi) * (a + 0.044715 * a**3))), f"h.{i}.mlp.c_proj")
    head = w.get("lm_head.weight", w["wte.weight"])
    return np.asarray(norm(x, "ln_f") @ head.T)
