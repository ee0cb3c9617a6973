"""JoeyNMT's side of compare_joeynmt.py: runs in its own environment, reads a line of JSON, answers with one.

    {"do": "make", "kind": "rnn", "batches": PATH, …}   -> {"parameters": …}
    {"do": "train", "batches": [first, end]}            -> {"seconds": …, "loss_nats": …}
    {"do": "decode", "batch": n, "sources": n, "beam": n, "length": n}   -> {"seconds": …, "tokens": …}

The model, its loss, optimiser, clipping and search are JoeyNMT's own, called as its TrainManager calls them.
"""

from __future__ import annotations

import json
import sys
import time
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from joeynmt.batch import Batch
from joeynmt.builders import build_gradient_clipper, build_optimizer
from joeynmt.model import build_model
from joeynmt.search import search
from joeynmt.vocabulary import Vocabulary

SPECIALS = SimpleNamespace(
    unk_token="<unk>", pad_token="<pad>", bos_token="<s>", eos_token="</s>", sep_token="<sep>",
    unk_id=0, pad_id=1, bos_id=2, eos_id=3, sep_id=4, lang_tags=[],
)  # fmt: skip


class Worker:
    """A model of JoeyNMT and its batches."""

    def __init__(self, options: dict[str, Any]) -> None:
        torch.manual_seed(0)
        torch.set_num_threads(options["threads"])
        vocabularies = [Vocabulary([f"{side}{i}" for i in range(options[side] - 5)], SPECIALS) for side in ("S", "V")]
        size, dropout = options["hidden_size"], options["dropout"]
        embeddings = {"embedding_dim": options["embedding_size"], "scale": options["kind"] == "transformer"}
        if options["kind"] == "rnn":
            shared = {"rnn_type": "gru", "hidden_size": size, "num_layers": 1, "dropout": dropout}
            encoder = {**shared, "type": "recurrent", "embeddings": embeddings, "bidirectional": True}
            decoder = {
                **shared, "type": "recurrent", "embeddings": embeddings, "attention": "bahdanau",
                "init_hidden": "bridge", "input_feeding": True, "hidden_dropout": dropout,
            }  # fmt: skip
        else:
            shared = {
                "type": "transformer", "hidden_size": size, "ff_size": 4 * size, "num_layers": options["num_layers"],
                "num_heads": options["num_heads"], "dropout": dropout, "embeddings": embeddings, "layer_norm": "pre",
            }  # fmt: skip
            encoder = decoder = shared
        self.model = build_model({"encoder": encoder, "decoder": decoder}, *vocabularies)
        self.model.loss_function = ("crossentropy", options["label_smoothing"])
        training = {"optimizer": "adamw", "learning_rate": options["learning_rate"], "weight_decay": 0.01}
        self.optimizer = build_optimizer(training, self.model.parameters())
        self.clip = build_gradient_clipper({"clip_grad_val": None, "clip_grad_norm": 1.0})
        self.ids = np.load(options["batches"])

    def batch(self, number: int, count: int | None = None) -> Batch:
        """Return the first `count` sequences of a batch: our ids, with <pad> and <unk> exchanged for JoeyNMT."""
        both = {}
        for side in ("source", "target"):
            ids = torch.from_numpy(self.ids[f"{side}{number}"])[:count]
            both[side] = torch.where(ids < 2, 1 - ids, ids)
        lengths = (both["source"] != 1).sum(1)
        return Batch(
            both["source"], lengths, None, both["target"], None, torch.arange(len(lengths)), torch.device("cpu"),
            pad_index=1, eos_index=3,
        )  # fmt: skip

    def train(self, first: int, end: int) -> dict[str, float]:
        """Do an update on each of the batches; return the seconds and the last loss."""
        self.model.train()
        began, loss = time.perf_counter(), 0.0
        for number in range(first, end):
            batch = self.batch(number)
            batch.sort_by_src_length()
            total, _, _, _ = self.model(return_type="loss", **vars(batch))
            mean = batch.normalize(total, normalization="tokens")
            mean.backward()
            self.clip(self.model.parameters())
            self.optimizer.step()
            self.optimizer.zero_grad()
            loss = mean.item()
        return {"seconds": time.perf_counter() - began, "loss_nats": loss}

    def decode(self, number: int, sources: int, beam: int, length: int) -> dict[str, float]:
        """Search with a beam for the first sources of a batch, `length` tokens each; return seconds and length."""
        self.model.eval()
        batch = self.batch(number, sources)
        batch.sort_by_src_length()
        began = time.perf_counter()
        answers, _, _ = search(
            self.model, batch, max_output_length=length, beam_size=beam, beam_alpha=0.6, min_output_length=length
        )
        return {"seconds": time.perf_counter() - began, "tokens": int(answers.shape[1])}


def main() -> None:
    """Answer line by line."""
    worker = None
    for line in sys.stdin:
        options = json.loads(line)
        command = options.pop("do")
        if command == "make":
            worker = Worker(options)
            answer: dict[str, Any] = {"parameters": sum(p.numel() for p in worker.model.parameters())}
        elif command == "train":
            answer = worker.train(*options["batches"])
        else:
            answer = worker.decode(options["batch"], options["sources"], options["beam"], options["length"])
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
