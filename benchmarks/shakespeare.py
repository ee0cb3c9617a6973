"""Language models by character on sample:shakespeare. Each part has a JSON of its own; all of them take 40 minutes.

    python benchmarks/shakespeare.py plain      a GRU of 384 beside a plain torch loop of the same settings, 3 seeds
    python benchmarks/shakespeare.py best       the best setting found for 3 minutes of two cores, and what it writes
    python benchmarks/shakespeare.py models       four rows at equal updates and about equal parameters, and a picture
    python benchmarks/shakespeare.py seconds    these four and gpt at equal seconds
    python benchmarks/shakespeare.py recipe     gpt at the size and budget of nanoGPT's recipe for a CPU, and a GRU of
                                                as many parameters and seconds

`plain`: batches of 16 × 64, AdamW at 0.003 with a cosine, 2,574 updates, no dropout. The rival is torch.nn.Embedding,
GRU and Linear in a loop with the same streams, state carried, clipping, schedule, fused AdamW and weight decay (which
it has on biases, too).
Held-out nats are those of the valid split, every character once in one stream, by the same function for both.
"""

from __future__ import annotations

import argparse
import math
import statistics
import time
from collections.abc import Collection
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import torch
from record import save, save_part
from torch import Tensor, nn
from torch.nn import functional as F

import unrolled
from unrolled.config import Config, from_flat
from unrolled.data.encoding.corpus import Corpus, Part, load_corpus
from unrolled.decoding.generation import score_tokens
from unrolled.training import Event, Run
from unrolled.training.generation import Streams

DATA = {"task": "generate"}
PLAIN = {
    **DATA, "model": "gru", "hidden_size": 384, "embedding_size": 64, "streams": 16, "chunk": 64, "learning_rate": 3e-3,
    "warmup": 0.0, "updates": 2_574, "patience": 0, "evaluate_every": 2_574,
}  # fmt: skip
BEST = {**PLAIN, "streams": 16, "learning_rate": 4e-3, "warmup": 0.03, "updates": 12_000, "evaluate_every": 4_000}
ROWS = {  # hidden sizes at about equal parameters
    "feedforward": {"hidden_size": 496, "window": 16},
    "elman": {"hidden_size": 670},
    "lstm": {"hidden_size": 330},
    "gru": {"hidden_size": 384},
}
SECONDS = "150s"
TIMED = {  # the same, as multiples of 16, which the kernels like
    **ROWS,
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
PICTURE = Path(__file__).parents[1] / "docs" / "pictures" / "shakespeare_rows.svg"
PROMPT = "ROMEO:\n"


class Plain(nn.Module):
    """The same network in torch's own modules, behind the contract that `score_tokens` asks for."""

    def __init__(self, vocabulary_size: int) -> None:
        super().__init__()
        self.num_outputs = vocabulary_size
        self.embedding = nn.Embedding(vocabulary_size, PLAIN["embedding_size"])
        self.gru = nn.GRU(PLAIN["embedding_size"], PLAIN["hidden_size"], batch_first=True)
        self.head = nn.Linear(PLAIN["hidden_size"], vocabulary_size)

    def forward(self, ids: Tensor, state: Tensor | None = None, lengths: None = None) -> tuple[Tensor, Tensor]:
        """(B, T) -> (B, T, V) and h (1, B, H)."""
        y, state = self.gru(self.embedding(ids), state)
        return self.head(y), state


def held_out(model: nn.Module, valid: Part) -> float:
    """Nats a character of the valid split, in one stream."""
    scored = score_tokens(model, valid.ids)
    return float(scored.nats.sum() / len(valid))


def progress(event: Event) -> None:
    """A line for every tenth event and every evaluation."""
    if event.valid or event.update % 500 == 0:
        valid = f"  valid {event.valid.loss_nats:.4f}" if event.valid else ""
        print(f"  update {event.update}  loss {event.loss_nats:.4f}{valid}", flush=True)


def plain_turn(seed: int, corpus: Corpus, config: Config) -> dict[str, float]:
    """A plain loop: train, time, evaluate."""
    torch.manual_seed(seed)
    training = config.training
    model = Plain(corpus.tokenizer.vocabulary_size)
    source = Streams(corpus.splits["train"].ids, streams=16, chunk=64, device=torch.device("cpu"))
    optimizer = torch.optim.AdamW(
        model.parameters(), lr=training.learning_rate, weight_decay=training.weight_decay, fused=True
    )
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, training.updates)
    state, began = None, time.perf_counter()
    for update in range(training.updates):
        batch = source.batch(0, update)
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
    """The same with our loop."""
    run = unrolled.train("sample:shakespeare", seed=seed, report=progress, **PLAIN)
    training = run.record["training"]
    seconds = training["seconds"]
    inside = sum(seconds[what] for what in ("forward", "backward", "optimizer"))
    return {
        "valid_nats": held_out(run.model, corpus.splits["valid"]),
        "tokens_per_second": training["tokens_per_second"],
        "outside_forward_backward_optimizer": 1 - inside / (training["total_seconds"] - seconds["evaluation"]),
    }


def plain(seeds: int) -> None:
    """Ours and theirs in turn, seed by seed."""
    config = from_flat(PLAIN)
    corpus = load_corpus("sample:shakespeare", config.data)
    ours, theirs = [], []
    for seed in range(seeds):
        ours.append(our_turn(seed, corpus))
        theirs.append(plain_turn(seed, corpus, config))
        print(seed, ours[-1], theirs[-1], flush=True)
    ratios = [a["tokens_per_second"] / b["tokens_per_second"] for a, b in zip(ours, theirs, strict=True)]
    figures = {
        "case": "GRU of 384 over embeddings of 64, 16 streams × 64 characters, AdamW 0.003 with cosine, 2,574 updates",
        "unrolled": ours,
        "torch": theirs,
        "valid_nats": {
            name: round(statistics.mean(turn["valid_nats"] for turn in turns), 4)
            for name, turns in (("unrolled", ours), ("torch", theirs))
        },
        "tokens_per_second": {
            name: round(statistics.median(turn["tokens_per_second"] for turn in turns))
            for name, turns in (("unrolled", ours), ("torch", theirs))
        },
        "times_as_fast": round(statistics.median(ratios), 3),
        "outside_forward_backward_optimizer": round(
            statistics.median(turn["outside_forward_backward_optimizer"] for turn in ours), 4
        ),
    }
    print(save("shakespeare_plain", figures))


def described(run: Run, corpus: Corpus) -> dict[str, Any]:
    """What a trained row is and reaches."""
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
    """The best recurrent setting found, and what it writes."""
    corpus = load_corpus("sample:shakespeare", from_flat(DATA).data)
    run = unrolled.train("sample:shakespeare", report=progress, **BEST)
    (sample,) = run.decode(PROMPT, length=500, temperature=0.7)
    began = time.perf_counter()
    run.decode(PROMPT, length=5_000)
    decoding = time.perf_counter() - began
    figures = {
        **described(run, corpus),
        "settings": BEST,
        "test_frequency_bits_per_character": round(run.test.frequency_bits_per_character, 4),
        "decode_tokens_per_second": round(5_000 / decoding),
        "sample": {"prompt": PROMPT, "temperature": 0.7, "seed": 0, "text": sample.text},
    }
    print(sample.prompt + sample.text)
    print(save("shakespeare", figures))


def models() -> None:
    """The four rows."""
    corpus = load_corpus("sample:shakespeare", from_flat(DATA).data)
    found = []
    for row, own in ROWS.items():
        settings = {**PLAIN, "model": name, "warmup": 0.03, "evaluate_every": 198, **own}
        run = unrolled.train("sample:shakespeare", report=progress, **settings)
        curve = [[event["update"], event["valid_loss_nats"]] for event in run.metrics if "valid_loss_nats" in event]
        found.append({**described(run, corpus), **own, "curve": np.round(curve, 4).tolist()})
        print({key: value for key, value in found[-1].items() if key != "curve"}, flush=True)
    print(save("shakespeare_rows", {"case": "16 × 64 characters an update, embeddings of 64", "models": found}))
    draw(found)


def seconds(chosen: Collection[str]) -> None:
    """Rows at equal seconds; those that are not chosen stay in the JSON."""
    corpus = load_corpus("sample:shakespeare", from_flat(DATA).data)
    for row in chosen:
        own = TIMED[row]
        settings = {**PLAIN, "model": name, "learning_rate": 4e-3, "warmup": 0.03, "time_limit": SECONDS, **own}
        settings = {name: value for name, value in settings.items() if name not in ("updates", "evaluate_every")}
        run = unrolled.train("sample:shakespeare", report=progress, **settings)
        found = {**described(run, corpus), "settings": settings}
        print(found, flush=True)
        print(save_part("shakespeare_seconds", row, found))


def recipe() -> None:
    """The budget of nanoGPT's recipe, and a GRU with as many parameters in as many seconds."""
    corpus = load_corpus("sample:shakespeare", from_flat(DATA).data)
    gpt = unrolled.train("sample:shakespeare", report=progress, **DATA, **RECIPE)
    taken = gpt.record["training"]["total_seconds"]
    own = {**RECIPE_GRU, "streams": 12, "chunk": 64, "patience": 0, "warmup": 0.03, "time_limit": f"{taken:.0f}s"}
    gru = unrolled.train("sample:shakespeare", report=progress, **DATA, **own)
    rows = [{**described(gpt, corpus), "settings": RECIPE}, {**described(gru, corpus), "settings": own}]
    print(rows)
    print(
        save("shakespeare_recipe", {"case": "nanoGPT's recipe for a CPU", "published_valid_nats": 1.88, "models": rows})
    )


def draw(found: list[dict[str, Any]]) -> None:
    """The curves of all rows, as docs/pictures/shakespeare_rows.svg."""
    plt.rcParams["svg.fonttype"], plt.rcParams["svg.hashsalt"] = "none", "unrolled"  # text stays text, ids stay
    figure, axes = plt.subplots(figsize=(7, 4.2), layout="constrained")
    ends = sorted((row["curve"][-1][1], row["model"]) for row in found)
    height = None
    for row in found:
        updates, nats = zip(*row["curve"], strict=True)
        axes.plot(updates, nats, label=row["model"], linewidth=1.8)
    colours = {line.get_label(): line.get_color() for line in axes.lines}
    for end, name in ends:  # the names stand at the ends of the curves, none on top of another
        height = end if height is None else max(end, height + 0.055)
        axes.annotate(
            f"{name} {end:.2f}", (row["curve"][-1][0], height), xytext=(6, 0), textcoords="offset points",
            color=colours[name], va="center", annotation_clip=False,
        )  # fmt: skip
    axes.set(xlabel="updates", ylabel="nats a character, valid split", ylim=(1.4, 2.2))
    axes.set_title("Four rows on Shakespeare, about 556,000 parameters each", fontsize=11)
    axes.grid(alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)
    PICTURE.parent.mkdir(exist_ok=True)
    figure.savefig(PICTURE, metadata={"Date": None})


def main() -> None:
    """Run one part."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("part", choices=("plain", "best", "models", "seconds", "recipe"))
    parser.add_argument("--seeds", type=int, default=3, help="of plain")
    parser.add_argument("--models", nargs="+", choices=list(TIMED), default=list(TIMED), help="of seconds")
    asked = parser.parse_args()
    parts = {"plain": lambda: plain(asked.seeds), "best": best, "models": rows, "recipe": recipe}
    parts |= {"seconds": lambda: seconds(asked.models)}
    parts[asked.part]()


if __name__ == "__main__":
    main()
