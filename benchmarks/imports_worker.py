"""The side of transformers in benchmarks/imports.py, run by the Python of its environment.

imports_worker.py make FOLDER TEXT     random GPT-2s with their tokenisers, ids and logits
imports_worker.py check FOLDER         the logits of models that unrolled has written, against those that it recorded
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import torch
import transformers
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer, models, pre_tokenizers, trainers
from transformers import AutoTokenizer, GPT2Config, GPT2LMHeadModel, GPT2TokenizerFast

MODELS: dict[str, dict[str, Any]] = {
    "small": {"n_embd": 48, "n_layer": 3, "n_head": 4, "n_positions": 64},
    "untied": {"n_embd": 48, "n_layer": 2, "n_head": 2, "n_positions": 64, "tie_word_embeddings": False},
    "another activation": {"n_embd": 48, "n_layer": 2, "n_head": 2, "n_positions": 64, "activation_function": "gelu"},
    "wide feedforward": {"n_embd": 32, "n_layer": 2, "n_head": 2, "n_positions": 64, "n_inner": 200},
    "sizes of GPT-2 124M": {"n_embd": 768, "n_layer": 12, "n_head": 12, "n_positions": 1024},
}
LONGEST = 63


def make_tokenizer(folder: Path, text: str, vocabulary_size: int) -> None:
    """Learn byte pairs from a text; write vocab.json and merges.txt."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    trainer = trainers.BpeTrainer(vocab_size=vocabulary_size, initial_alphabet=alphabet, show_progress=False)
    tokenizer.train_from_iterator(text.split("\n"), trainer)
    folder.mkdir(parents=True)
    tokenizer.model.save(str(folder))
    ids = json.loads((folder / "vocab.json").read_text(encoding="utf-8"))
    ids["<|endoftext|>"] = len(ids)
    (folder / "vocab.json").write_text(json.dumps(ids), encoding="utf-8")


@torch.no_grad()
def make(folder: Path, text: str) -> None:
    """Write each of MODELS with random weights, the ids of some lines, and their logits after <|endoftext|>."""
    lines = [*filter(str.strip, text.split("\n")[:200:10]), "Ünïcode 漢字 😀  two  spaces\n\n\tand don't 123"]
    for number, (name, options) in enumerate(MODELS.items()):
        at = folder / name
        make_tokenizer(at, text, 1_000)
        tokenizer = GPT2TokenizerFast(vocab=str(at / "vocab.json"), merges=str(at / "merges.txt"))
        size = len(tokenizer)
        torch.manual_seed(number)
        config = GPT2Config(vocab_size=size, bos_token_id=size - 1, eos_token_id=size - 1, **options)
        model = GPT2LMHeadModel(config).eval()
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.05)  # biases, too
        model.save_pretrained(at)
        ids = [tokenizer(line)["input_ids"] for line in lines]
        logits = {
            str(i): model(torch.tensor([[size - 1, *each[:LONGEST]]])).logits[0].contiguous()
            for i, each in enumerate(ids)
        }
        save_file(logits, at / "expected.safetensors")
        (at / "expected.json").write_text(json.dumps({"lines": lines, "ids": ids}), encoding="utf-8")


@torch.no_grad()
def check(folder: Path) -> None:
    """Print the largest difference of the logits of each model in the folder, and whether the ids are equal."""
    found = {}
    for at in sorted(path for path in folder.iterdir() if path.is_dir()):
        expected, recorded = (
            load_file(folder / f"{at.name}.safetensors"),
            json.loads((at.with_suffix(".json")).read_text()),
        )
        model, tokenizer = GPT2LMHeadModel.from_pretrained(at).eval(), AutoTokenizer.from_pretrained(at)
        differences = [
            float(
                (model(torch.tensor([[tokenizer.bos_token_id, *ids[:LONGEST]]])).logits[0] - expected[str(i)])
                .abs()
                .max()
            )
            for i, ids in enumerate(recorded["ids"])
        ]
        same = all(
            tokenizer(line)["input_ids"] == ids for line, ids in zip(recorded["lines"], recorded["ids"], strict=True)
        )
        found[at.name] = {"difference": max(differences), "same_ids": same}
    print(json.dumps({"transformers": transformers.__version__, "models": found}))


if __name__ == "__main__":
    if sys.argv[1] == "make":
        make(Path(sys.argv[2]), Path(sys.argv[3]).read_text(encoding="utf-8"))
    else:
        check(Path(sys.argv[2]))
