"""What looking inside shows, and what it costs. One part at a time, into benchmarks/results/inside_<part>.json.

python benchmarks/inside.py cost       seconds of a trace, of gradient_norm and occlusion, of every row; bytes of the page
python benchmarks/inside.py films      which words moved an answer, by three measures side by side
python benchmarks/inside.py recall     who reaches whom at T = 10 … 500, untrained and trained; vanishing gradients
python benchmarks/inside.py reverse    attention against the alignment that is known
python benchmarks/inside.py letters    whether attention moves through a word from left to right
"""

from __future__ import annotations

import copy
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from record import save
from torch import Tensor
from torch.nn import functional as F

import unrolled
from unrolled.api import build
from unrolled.cli.demo import RECIPES, SENTENCES
from unrolled.config import ModelConfig
from unrolled.data import synthetic
from unrolled.inside import Example, Header, Source, Trace
from unrolled.inside.attribution import gradients, occlusion
from unrolled.inside.gradient import gradient
from unrolled.inside.memory import memory
from unrolled.inside.observe import observe
from unrolled.inside.paths import path_length
from unrolled.models import Ids, Model, Pairs

T, H, L, V = 200, 256, 2, 1000
COSTS: dict[str, tuple[str, dict[str, Any], int]] = {  # row, options, steps of the source
    "feedforward": ("feedforward", {}, 0),
    "elman": ("elman", {}, 0),
    "lstm": ("lstm", {}, 0),
    "lstm, both directions": ("lstm", {"bidirectional": True}, 0),
    "gru": ("gru", {}, 0),
    "transformer": ("transformer", {}, 0),
    "gpt": ("gpt", {"window": 256}, 0),
}
PAIRED: dict[str, tuple[str, dict[str, Any]]] = {
    "encoder_decoder": ("encoder_decoder", {"bidirectional": True}),
    "attention": ("attention", {"bidirectional": True}),
    "attention, general": ("attention", {"bidirectional": True, "score": "general"}),
    "attention, fed": ("attention", {"bidirectional": True, "score": "general", "input_feeding": True}),
    "transformer": ("transformer", {}),
    "gpt": ("gpt", {}),
}
COSTS |= {f"{name}, 100 → 100": (row, own, 100) for name, (row, own) in PAIRED.items()}
COSTS |= {f"{row}, 200 → 200": (row, PAIRED[row][1], 200) for row in ("encoder_decoder", "attention", "transformer")}

UPDATES = {10: 600, 100: 2000, 500: 1200}  # by T
RECALLED = ("elman", "lstm", "gru", "transformer")
TURNS = 2  # of which the shortest counts: the machine had other work
LOOKED = 8  # sequences that a mean is of


def example(steps: int, source: int, inputs: Tensor, *, once: bool = False) -> Example:
    """Random tokens as an example; every step is asked, or the last one."""
    many = ("x",) * steps
    asked = torch.tensor([steps - 1]) if once else torch.arange(steps)
    places = tuple((t, t + 1) for t in range(steps))
    read = Source("x" * source, torch.randint(5, V, (1, source)), ("x",) * source, places[:source]) if source else None
    unknown = torch.full((len(asked),), -1)
    return Example("x" * steps, inputs, many, places, asked, unknown, lambda ids: [str(i) for i in ids], source=read)


def clock(do: Callable[[], Any]) -> tuple[float, Any]:
    """Seconds, the least of TURNS, and what it returned."""
    seconds = []
    for _ in range(TURNS):
        begun = time.perf_counter()
        found = do()
        seconds.append(time.perf_counter() - begun)
    return min(seconds), found


def cost() -> dict[str, Any]:
    """Seconds of every row at L = 2, H = 256, T = 200 answers; of pairs at S = T = 100 and 200."""
    from unrolled.pictures import page

    rows = {}
    for name, (row, own, S) in COSTS.items():
        torch.manual_seed(0)
        config = ModelConfig(hidden_size=H, num_layers=L, embedding_size=H, **own)
        model = build(row, Pairs(V, V) if S else Ids(V), V, config, answer="each").eval()
        steps = S or T
        given = example(steps, S, torch.randint(5, V, (1, steps)))
        observe(model, given, Header())  # what is made once is made
        trace_seconds, (trace, known) = clock(lambda m=model, g=given: observe(m, g, Header()))
        gradient_norm_seconds, found = clock(lambda m=model, e=known: gradients(m, e))
        occlusion_seconds, bits = clock(lambda m=model, e=known: occlusion(m, e))
        memory_seconds, rest = clock(lambda m=model, e=known, t=trace: {**memory(m, t), **path_length(m, e)})
        whole = Trace(trace.about, {**trace, **found, **bits, **rest})
        rows[name] = {
            "trace_seconds": trace_seconds,
            "gradient_norm_seconds": gradient_norm_seconds,
            "occlusion_seconds": occlusion_seconds,
            "memory_seconds": memory_seconds,
            "numbers": sum(value.numel() for value in whole.values()),
            "page_bytes": len(page([whole]).encode()) if S != 200 else None,
        }
        total = trace_seconds + gradient_norm_seconds + occlusion_seconds + memory_seconds
        print(f"{name:32} trace {trace_seconds:.2f} s, all {total:.2f} s, page {rows[name]['page_bytes']}", flush=True)
    return {"T": T, "H": H, "L": L, "threads": torch.get_num_threads(), "models": rows}


def spearman(a: Tensor, b: Tensor) -> float:
    """The correlation of ranks."""
    ranks = torch.stack([a.argsort().argsort(), b.argsort().argsort()]).double()
    return float(torch.corrcoef(ranks)[0, 1])


def films() -> dict[str, Any]:
    """A GRU on the film sentences: its three sentences of the demo, and how far the measures agree on 200 others."""
    run = unrolled.train("sample:films", model="gru", **RECIPES["gru"])
    measures = ("occlusion", "input_x_gradient", "gradient_norm")
    shown = []
    for text in SENTENCES:
        trace = run.explain(text)
        words = {name: [round(value, 4) for value in trace[name][0].tolist()] for name in measures}
        shown.append({"text": text, "answer": trace.about.answers[0], "tokens": trace.about.tokens, **words})
    from unrolled.data.splits.labelled import load_splits

    texts = [text for text in load_splits("sample:films", run.config.data).test.texts() if len(text.split()) > 4][:200]
    agree: dict[str, list[float]] = {"occlusion, gradient × input": [], "|occlusion|, gradient_norm": []}
    tops = []
    for text in texts:
        trace = run.explain(text)
        lost, product, gradient_norm = (trace[name][0] for name in measures)
        agree["occlusion, gradient × input"].append(spearman(lost, product))
        agree["|occlusion|, gradient_norm"].append(spearman(lost.abs(), gradient_norm))
        tops.append(int(lost.abs().argmax()) == int(product.abs().argmax()))
    return {
        "accuracy": run.test.accuracy,
        "sentences": shown,
        "texts": len(texts),
        "rank_correlation": {name: float(np.mean(values)) for name, values in agree.items()},
        "same_first_word": float(np.mean(tops)),
    }


def train(model: Model, task: synthetic.Synthetic, updates: int, rate: float) -> tuple[float, dict[int, Model]]:
    """Train on a task without end -> the accuracy on fresh batches, and the model after ten updates, log-spaced.

    T grows to its length over the first two thirds: at T = 100 no recurrent row learned anything otherwise.
    """
    optimizer = torch.optim.Adam(model.parameters(), lr=rate)
    kept = {0: copy.deepcopy(model).eval()}
    snapshot_updates = {round(updates ** (i / 9)) for i in range(10)}
    model.train()
    for update in range(1, updates + 1):
        share = min(1.0, 1.5 * update / updates)
        batch = replace(task, length=max(1, round(share * task.length))).batch(update, 32)
        logits, _ = model(batch.inputs)
        loss = F.cross_entropy(logits, batch.targets)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        if update in snapshot_updates:
            kept[update] = copy.deepcopy(model).eval()
    model.eval()
    with torch.no_grad():
        batch = task.batch(10_000_000, 256)
        return float((model(batch.inputs)[0].argmax(1) == batch.targets).float().mean()), kept


def reaches(model: Model, task: synthetic.Synthetic) -> tuple[Tensor, Tensor]:
    """The mean gradient_norm (T,) of the answer, and the mean gradient of the lowest layer (T,), over LOOKED sequences."""
    batch = task.batch(20_000_000, LOOKED)
    found, slopes = [], []
    for inputs, target in zip(batch.inputs, batch.targets, strict=True):
        given = example(len(inputs), 0, inputs[None], once=True)
        given = replace(given, answers=target[None])
        found.append(gradients(model, given)["gradient_norm"][0])
        every = gradient(model, given)
        slopes.append(next(value[0] for name, value in every.items() if ".l0." in name))
    return torch.stack(found).mean(0), torch.stack(slopes).mean(0)


def at(values: Tensor, distances: tuple[int, ...]) -> dict[str, float]:
    """The values at distances back from the last step, as far as there are any."""
    return {str(d): float(values[-1 - d]) for d in distances if d < len(values)}


def recall() -> dict[str, Any]:
    """Which of 8 symbols came first, T blanks ago: gradient_norm over T, untrained and trained; the gradient over training."""
    rows: dict[str, Any] = {}
    for row in RECALLED:
        for T in UPDATES:
            torch.manual_seed(0)
            task = synthetic.make("recall", T)
            config = ModelConfig(
                hidden_size=64, embedding_size=32, **({"num_heads": 4} if row == "transformer" else {})
            )
            model = build(row, Ids(task.vocabulary_size), task.num_outputs, config, answer="once")
            updates = UPDATES[T] // (4 if row == "transformer" and T == 500 else 1)
            accuracy, kept = train(model, task, updates, 1e-3 if row in ("elman", "transformer") else 3e-3)
            first = T + task.symbols - 1  # steps back to the symbol that is asked for
            far = (*(d for d in (1, 10, 50, 100, 200, 500) if d < first), first)
            over = {}
            for update, snapshot in kept.items():
                gradient_norm, slope = reaches(snapshot, task)
                over[str(update)] = {"gradient_norm": at(gradient_norm, far), "gradient": at(slope, far)}
            rows[f"{row}, T = {T}"] = {"accuracy": accuracy, "updates": updates, "first": first, "over_training": over}
            last = over[str(updates)]["gradient_norm"]
            print(f"{row:12} T {T:4} accuracy {accuracy:.2f}  gradient_norm of the symbol untrained "
                  f"{over['0']['gradient_norm'][str(first)]:.2e}, trained {last[str(first)]:.2e}", flush=True)  # fmt: skip
    return {"symbols": 8, "at_chance": 1 / 8, "hidden_size": 64, "sequences": LOOKED, "models": rows}


def reverse() -> dict[str, Any]:
    """Sequences of letters to themselves backwards: target t stands for source S − 1 − t, which is known."""
    pairs = []
    for T in range(3, 13):
        drawn = synthetic.make("reverse", T).batch(T, 300).inputs[:, :T] - synthetic.FIRST
        words = ["".join("abcdefgh"[k] for k in row) for row in drawn.tolist()]
        pairs += [(word, word[::-1]) for word in dict.fromkeys(words)]
    run = unrolled.train(
        pairs, task="translate", model="attention", tokenizer="character", hidden_size=64, embedding_size=32,
        epochs=30, batch_tokens=2000,
    )  # fmt: skip
    wrong, far, steps, weight = 0, 0, 0, 0.0
    for row in (synthetic.make("reverse", 10).batch(999, 100).inputs[:, :10] - synthetic.FIRST).tolist():
        word = "".join("abcdefgh"[k] for k in row)
        weights = run.explain((word, word[::-1]), attribution=False)["attention.weights"][:10]  # (T, S), without <eos>
        known = torch.arange(9, -1, -1)
        wrong += int((weights.argmax(1) != known).sum())
        far += int(((weights.argmax(1) - known).abs() > 1).sum())
        weight += float(weights.gather(1, known[:, None]).sum())
        steps += 10
    shown = run.explain(("abcdefgh", "hgfedcba"), attribution=False)["attention.weights"].tolist()
    return {
        "exact_match": run.test.exact_match,
        "alignment_error": wrong / steps,
        "alignment_error_beyond_one_place": far / steps,
        "weight_on_the_known": weight / steps,
        "links": steps,
        "example": {"source": "abcdefgh", "weights": [[round(w, 3) for w in row] for row in shown]},
    }


def letters() -> dict[str, Any]:
    """Letters to phonemes: whether the place that is looked at moves from left to right, word by word."""
    run = unrolled.train(
        "sample:letters", task="translate", model="attention", hidden_size=128, embedding_size=64, epochs=4
    )
    from unrolled.data.splits.pairs import split_pairs

    words = list(dict.fromkeys(split_pairs("sample:letters", run.config.data).test.sources()))
    words = [word for word in words if len(word) >= 5][:300]
    forward, ranks = [], []
    for word in words:
        weights = run.explain(word, attribution=False)["attention.weights"][:-1]  # without <eos>
        if len(weights) < 3:
            continue
        place = weights @ torch.arange(weights.shape[1], dtype=torch.float32)  # the mean place looked at
        forward.append(float((place.diff() >= 0).float().mean()))
        ranks.append(spearman(place, torch.arange(len(place))))
    return {
        "exact_match": run.test.exact_match,
        "words": len(ranks),
        "steps_forward": float(np.mean(forward)),
        "monotonicity": float(np.mean(ranks)),
    }


SPLITS = {"cost": cost, "films": films, "recall": recall, "reverse": reverse, "letters": letters}

if __name__ == "__main__":
    if len(sys.argv) != 2 or sys.argv[1] not in SPLITS:
        sys.exit(f"usage: python benchmarks/inside.py {' | '.join(SPLITS)}")
    print(save(f"inside_{sys.argv[1]}", SPLITS[sys.argv[1]]()))
