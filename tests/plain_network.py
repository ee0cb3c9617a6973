"""A network of plain torch.nn, as another program trains and saves it: weights, words, labels."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

KINDS: dict[str, type[nn.RNNBase]] = {"elman": nn.RNN, "lstm": nn.LSTM, "gru": nn.GRU}
WORDS = ("the", "<unk>", "film", "fine", "<pad>", "dull", "was", "a")
LABELS = ("pos", "neg", "even")
KNOWN = [i for i, word in enumerate(WORDS) if word[0] != "<"]


class Plain(nn.Module):
    """Embedding, recurrent layers and a linear layer, written without this package."""

    def __init__(self, kind: str, task: str, *, read: str = "last", D: int = 5, H: int = 4, **options: Any) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.task, self.read = task, read
        self.words = nn.Embedding(len(WORDS), D, padding_idx=WORDS.index("<pad>"))
        self.encoder = KINDS[kind](D, H, batch_first=True, **options)
        outputs = len(WORDS) if task == "generate" else len(LABELS)
        self.out = nn.Linear(H * (2 if self.encoder.bidirectional else 1), outputs)

    def forward(self, ids: Tensor) -> Tensor:
        """(B, T) ids -> logits (B, K), or (B, T, K)."""
        y, after = self.encoder(self.words(ids))
        if self.task != "classify":
            logits: Tensor = self.out(y)
            return logits
        h = after[0] if isinstance(after, tuple) else after
        directions = 2 if self.encoder.bidirectional else 1
        read = {"last": torch.cat(list(h[-directions:]), 1), "mean": y.mean(1), "max": y.amax(1)}
        answer: Tensor = self.out(read[self.read])
        return answer


def make(folder: Path, tensors: dict[str, Tensor], *, file: str = "weights.safetensors") -> dict[str, Any]:
    """Write tensors, words and labels; return the arguments of an import."""
    folder.mkdir(parents=True, exist_ok=True)
    tensors = {name: tensor.detach().clone() for name, tensor in tensors.items()}
    if file.endswith("safetensors"):
        save_file(tensors, folder / file)
    else:
        torch.save(tensors, folder / file)
    for name, lines in (("words.txt", WORDS), ("labels.txt", LABELS)):
        (folder / name).write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return {"source": folder / file, "vocabulary": folder / "words.txt", "labels": folder / "labels.txt"}


def arguments(folder: Path, network: Plain, **more: Any) -> dict[str, Any]:
    """Write a network; return the arguments of its import."""
    made = make(folder, network.state_dict()) | {"task": network.task} | more
    if network.task == "generate":
        del made["labels"]
    return made
