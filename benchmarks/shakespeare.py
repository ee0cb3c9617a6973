"""Language models by character on sample:shakespeare. Each case has a JSON of its own; all of them take 40 minutes.

    python benchmarks/shakespeare.py plain      a GRU of 384 and a plain torch loop of the same settings, 3 seeds
    python benchmarks/shakespeare.py best       the best setting found for 3 minutes of two cores, and what it writes
    python benchmarks/shakespeare.py models     four models at equal updates and about equal parameters, and a picture
    python benchmarks/shakespeare.py seconds    these four and gpt at equal seconds
    python benchmarks/shakespeare.py recipe     gpt at the size and budget of nanoGPT's recipe for a CPU, and a GRU of
                                                as many parameters and seconds

`plain`: batches of 16 × 64, AdamW at 0.003 with a cosine, 2,574 updates, no dropout. The baseline is a loop over
torch.nn.Embedding, GRU and Linear with the same streams, carried state, clipping, schedule, fused AdamW and weight
decay (of biases, too).
Held-out nats are those of the valid split, every character once in one stream, by the same function for both.
"""

from __future__ import annotations

import argparse
import math
import statistics
import time
from collections.abc import Collection
from typing import Any

import numpy as np
import torch
from record import save, save_part
from torch import Tensor, nn
from torch.nn import functional as F

import unrolled
from unrolled.config import Config, from_flat
from unrolled.data.encoding.corpus import Corpus, TextSplit, load_corpus
from unrolled.decoding.generation import score_tokens
from unrolled.training import Event, Run
from unrolled.training.generation import Streams

DATA = {"task": "generate"}
PLAIN = {
    **DATA, "model": "gru", "hidden_size": 384, "embedding_size": 64, "streams": 16, "chunk": 64, "learning_rate": 3e-3,
    "warmup": 0.0, "updates": 2_574, "patience": 0, "evaluate_every": 2_574,
}  # fmt: skip
BEST = {**PLAIN, "streams": 16, "learning_rate": 4e-3, "warmup": 0.03, "updates": 12_000, "evaluate_every": 4_000}
MODELS = {  # hidden sizes at about equal parameters
    "feedforward": {"hidden_size": 496, "window": 16},
    "elman": {"hidden_size": 670},
    "lstm": {"hidden_size": 330},
    "gru": {"hidden_size": 384},
}
SECONDS = "150s"
TIMED = {  # the same, as multiples of 16, which suit the kernels
    **MODELS,
    "elman": {"hidden_size": 672},
    "lstm": {"hidden_size": 336},
    "gpt": {"hidden_size": 96, "embedding_size": 96, "num_layers": 5, "window": 64, "streams": 8},
}
RECIPE = {  # nanoGPT's README: 4 layers, 4 heads, 128 wide, block 64, batch 12, 2,000 updates, no dropout
    "model": "gpt", "num_layers": 4, "num_heads": 4, "hidden_size": 128, "embedding_size": 128, "window": 64,
    "position": "learned", "tied": True, "streams": 12, "chunk": 64, "updates": 2_000, "learning_rate": 4e-3,
    "warmup": 0.05, "patience": 0, "evaluate_every": 2_000,
}  # fmt: skip
RECIPE_GRU = {"model": "gru", "hidden_size": 464, "embedding_size": 64, "learning_rate": 4e-3}
PROMPT = "ROMEO:\n"


class Plain(nn.Module):
    """The same network in torch's own modules, with the signature that `score_tokens` needs."""

    def __init__(self, vocabulary_size: int) -> None:
        super().__init__()
        self.num_outputs = vocabulary_size
        self.embedding = nn.Embedding(vocabulary_size, PLAIN["embedding_size"])
        self.gru = nn.GRU(PLAIN["embedding_size"], PLAIN["hidden_size"], batch_first=True)
        self.head = nn.Linear(PLAIN["hidden_size"], vocabulary_size)

    def forward(self, ids: Tensor, state: Tensor | None = None, lengths: None = None) -> tuple[Tensor, Tensor]:
        """Return logits (B, T, V) of ids (B, T), and h (1, B, H)."""
        y, state = self.gru(self.embedding(ids), state)
        return self.head(y), state


def held_out(model: nn.Module, valid: TextSplit) -> float:
    """Return the nats a character of the valid split, in one stream."""
    scored = score_tokens(model, valid.ids)
    return float(scored.nats.sum() / len(valid))


def progress(event: Event) -> None:
    """Print a line for every 500th update and every evaluation."""
    if event.valid or event.update % 500 == 0:
        valid = f"  valid {event.valid.loss_nats:.4f}" if event.valid else ""
        print(f"  update {event.update}  loss {event.loss_nats:.4f}{valid}", flush=True)


def plain_turn(seed: int, corpus: Corpus, config: Config) -> dict[str, float]:
    """Train and evaluate in a plain torch loop; return its figures."""
    torch.manual_seed(seed)
    training = config.training
    model = Plain(corpus.tokenizer.vocabulary_size)
    loader = Streams(corpus.splits["train"].ids, streams=16, chunk=64, device=torch.device("cpu"))
    optimizer = torch.optim.AdamW(
        model.parameters(), lr=training.learning_rate, weight_decay=training.weight_decay, fused=True
    )
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, training.updates)
    state, began = None, time.perf_counter()
    for update in range(training.updates):
        batch = loader.batch(0, update)
        logits, state = model(batch.inputs, state)
        state = state.detach()
        loss = F.cross_entropy(logits.flatten(0, 1), batch.targets.flatten())
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), training.clip)
        optimizer.step()
        schedule.step()
        loss.item()
    seconds = time.perf_counter() - began
    return {
        "valid_nats": held_out(model.eval(), corpus.splits["valid"]),
        "tokens_per_second": training.updates * 1024 / seconds,
    }


def our_turn(seed: int, corpus: Corpus) -> dict[str, float]:
    """Train and evaluate in our loop; return its figures."""
    run = unrolled.train("sample:shakespeare", seed=seed, report=progress, **PLAIN)
    training = run.record["training"]
    seconds = training["seconds"]
    inside = sum(seconds[phase] for phase in ("forward", "backward", "optimizer"))
    return {
        "valid_nats": held_out(run.model, corpus.splits["valid"]),
        "tokens_per_second": training["tokens_per_second"],
        "outside_forward_backward_optimizer": 1 - inside / (training["total_seconds"] - seconds["evaluation"]),
    }


def plain(seeds: int) -> None:
    """Train in both loops in turn, seed by seed, and save the comparison."""
    config = from_flat(PLAIN)
    corpus = load_corpus("sample:shakespeare", config.data)
    ours, torch_loop = [], []
    for seed in range(seeds):
        ours.append(our_turn(seed, corpus))
        torch_loop.append(plain_turn(seed, corpus, config))
        print(seed, ours[-1], torch_loop[-1], flush=True)
    ratios = [a["tokens_per_second"] / b["tokens_per_second"] for a, b in zip(ours, torch_loop, strict=True)]
    figures = {
        "case": "GRU of 384 over embeddings of 64, 16 streams × 64 characters, AdamW 0.003 with cosine, 2,574 updates",
        "unrolled": ours,
        "torch": torch_loop,
        "valid_nats": {
            name: round(statistics.mean(turn["valid_nats"] for turn in turns), 4)
            for name, turns in (("unrolled", ours), ("torch", torch_loop))
        },
        "tokens_per_second": {
            name: round(statistics.median(turn["tokens_per_second"] for turn in turns))
            for name, turns in (("unrolled", ours), ("torch", torch_loop))
        },
        "times_as_fast": round(statistics.median(ratios), 3),
        "outside_forward_backward_optimizer": round(
            statistics.median(turn["outside_forward_backward_optimizer"] for turn in ours), 4
        ),
    }
    print(save("shakespeare_plain", figures))


def figures_of(run: Run, corpus: Corpus) -> dict[str, Any]:
    """Return the size, the cost and the held-out scores of a trained model."""
    training = run.record["training"]
    nats = held_out(run.model, corpus.splits["valid"])
    return {
        "model": run.config.model.name,
        "hidden_size": run.config.model.hidden_size,
        "parameters": run.record["parameters"],
        "updates": training["updates"],
        "seconds": round(training["total_seconds"], 1),
        "tokens_per_second": round(training["tokens_per_second"]),
        "valid_nats": round(nats, 4),
        "valid_bits_per_character": round(nats / math.log(2), 4),
        "test_bits_per_character": round(run.test.bits_per_character, 4),
        "test_interval": [round(end, 4) for end in run.test.bits_per_character_interval],
    }


def best() -> None:
    """Train with the best recurrent setting that was found; save its figures and a text that it writes."""
    corpus = load_corpus("sample:shakespeare", from_flat(DATA).data)
    run = unrolled.train("sample:shakespeare", report=progress, **BEST)
    (sample,) = run.decode(PROMPT, length=500, temperature=0.7)
    began = time.perf_counter()
    run.decode(PROMPT, length=5_000)
    decoding = time.perf_counter() - began
    figures = {
        **figures_of(run, corpus),
        "settings": BEST,
        "test_frequency_bits_per_character": round(run.test.frequency_bits_per_character, 4),
        "decode_tokens_per_second": round(5_000 / decoding),
        "sample": {"prompt": PROMPT, "temperature": 0.7, "seed": 0, "text": sample.text},
    }
    print(sample.prompt + sample.text)
    print(save("shakespeare", figures))


def models() -> None:
    """Train four models at equal updates and about equal parameters; save their figures and the picture."""
    corpus = load_corpus("sample:shakespeare", from_flat(DATA).data)
    trained = []
    for name, own in MODELS.items():
        settings = {**PLAIN, "model": name, "warmup": 0.03, "evaluate_every": 198, **own}
        run = unrolled.train("sample:shakespeare", report=progress, **settings)
        curve = [[event["update"], event["valid_loss_nats"]] for event in run.metrics if "valid_loss_nats" in event]
        trained.append({**figures_of(run, corpus), **own, "curve": np.round(curve, 4).tolist()})
        print({key: value for key, value in trained[-1].items() if key != "curve"}, flush=True)
    print(save("shakespeare_models", {"case": "16 × 64 characters an update, embeddings of 64", "models": trained}))


def seconds(chosen: Collection[str]) -> None:
    """Train the chosen models for equal seconds; figures of the others stay in the JSON."""
    corpus = load_corpus("sample:shakespeare", from_flat(DATA).data)
    for name in chosen:
        own = TIMED[name]
        settings = {**PLAIN, "model": name, "learning_rate": 4e-3, "warmup": 0.03, "time_limit": SECONDS, **own}
        settings = {key: value for key, value in settings.items() if key not in ("updates", "evaluate_every")}
        run = unrolled.train("sample:shakespeare", report=progress, **settings)
        figures = {**figures_of(run, corpus), "settings": settings}
        print(figures, flush=True)
        print(save_part("shakespeare_seconds", name, figures))


def recipe() -> None:
    """Train gpt by nanoGPT's recipe, and a GRU with as many parameters for as many seconds; save their figures."""
    corpus = load_corpus("sample:shakespeare", from_flat(DATA).data)
    gpt = unrolled.train("sample:shakespeare", report=progress, **DATA, **RECIPE)
    taken = gpt.record["training"]["total_seconds"]
    own = {**RECIPE_GRU, "streams": 12, "chunk": 64, "patience": 0, "warmup": 0.03, "time_limit": f"{taken:.0f}s"}
    gru = unrolled.train("sample:shakespeare", report=progress, **DATA, **own)
    trained = [{**figures_of(gpt, corpus), "settings": RECIPE}, {**figures_of(gru, corpus), "settings": own}]
    print(trained)
    figures = {"case": "nanoGPT's recipe for a CPU", "published_valid_nats": 1.88, "models": trained}
    print(save("shakespeare_recipe", figures))


def main() -> None:
    """Run one case."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("case", choices=("plain", "best", "models", "seconds", "recipe"))
    parser.add_argument("--seeds", type=int, default=3, help="of plain")
    parser.add_argument("--models", nargs="+", choices=list(TIMED), default=list(TIMED), help="of seconds")
    options = parser.parse_args()
    cases = {"plain": lambda: plain(options.seeds), "best": best, "models": models, "recipe": recipe}
    cases |= {"seconds": lambda: seconds(options.models)}
    cases[options.case]()


if __name__ == "__main__":
    main()
