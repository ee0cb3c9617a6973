"""Traces: their cost and what they show. One case at a time, into benchmarks/results/inside_<case>.json.

python benchmarks/inside.py cost      seconds of a trace, gradient norm and occlusion of every model; bytes of the page
python benchmarks/inside.py films     attribution of answers to words, by three measures
python benchmarks/inside.py recall    gradient norm at T = 10 … 500, untrained and trained; vanishing gradients
python benchmarks/inside.py reverse   attention compared with the known alignment
python benchmarks/inside.py letters   the order in which attention moves through a word
"""

from __future__ import annotations

import argparse
import copy
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
COSTS: dict[str, tuple[str, dict[str, Any], int]] = {  # model, options, steps of the source
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
COSTS |= {f"{case}, 100 → 100": (name, own, 100) for case, (name, own) in PAIRED.items()}
COSTS |= {
    f"{name}, 200 → 200": (name, PAIRED[name][1], 200) for name in ("encoder_decoder", "attention", "transformer")
}

UPDATES = {10: 600, 100: 2000, 500: 1200}  # by T
RECALLED = ("elman", "lstm", "gru", "transformer")
TURNS = 2  # the shortest counts: the machine had other work
SEQUENCES = 8  # of each mean


def example(steps: int, source: int, inputs: Tensor, *, once: bool = False) -> Example:
    """Return random tokens as an example with an answer at every step, or at the last one."""
    tokens = ("x",) * steps
    answered = torch.tensor([steps - 1]) if once else torch.arange(steps)
    spans = tuple((t, t + 1) for t in range(steps))
    read = Source("x" * source, torch.randint(5, V, (1, source)), ("x",) * source, spans[:source]) if source else None
    unknown = torch.full((len(answered),), -1)
    return Example(
        "x" * steps, inputs, tokens, spans, answered, unknown, lambda ids: [str(i) for i in ids], source=read
    )


def clock(call: Callable[[], Any]) -> tuple[float, Any]:
    """Return the seconds of a call, the least of TURNS, and its result."""
    seconds = []
    for _ in range(TURNS):
        begun = time.perf_counter()
        result = call()
        seconds.append(time.perf_counter() - begun)
    return min(seconds), result


def cost() -> dict[str, Any]:
    """Measure every model at L = 2, H = 256, T = 200 answers; models of pairs at S = T = 100 and 200."""
    from unrolled.pictures import page

    models = {}
    for case, (name, own, S) in COSTS.items():
        torch.manual_seed(0)
        config = ModelConfig(hidden_size=H, num_layers=L, embedding_size=H, **own)
        model = build(name, Pairs(V, V) if S else Ids(V), V, config, answer="each").eval()
        steps = S or T
        random = example(steps, S, torch.randint(5, V, (1, steps)))
        observe(model, random, Header())  # caches are filled
        trace_seconds, (trace, known) = clock(lambda m=model, e=random: observe(m, e, Header()))
        gradient_norm_seconds, norms = clock(lambda m=model, e=known: gradients(m, e))
        occlusion_seconds, bits = clock(lambda m=model, e=known: occlusion(m, e))
        memory_seconds, rest = clock(lambda m=model, e=known, t=trace: {**memory(m, t), **path_length(m, e)})
        whole = Trace(trace.about, {**trace, **norms, **bits, **rest})
        models[case] = {
            "trace_seconds": trace_seconds,
            "gradient_norm_seconds": gradient_norm_seconds,
            "occlusion_seconds": occlusion_seconds,
            "memory_seconds": memory_seconds,
            "numbers": sum(value.numel() for value in whole.values()),
            "page_bytes": len(page([whole]).encode()) if S != 200 else None,
        }
        total = trace_seconds + gradient_norm_seconds + occlusion_seconds + memory_seconds
        print(
            f"{case:32} trace {trace_seconds:.2f} s, all {total:.2f} s, page {models[case]['page_bytes']}", flush=True
        )
    return {"T": T, "H": H, "L": L, "threads": torch.get_num_threads(), "models": models}


def spearman(a: Tensor, b: Tensor) -> float:
    """Return the correlation of the ranks of two vectors."""
    ranks = torch.stack([a.argsort().argsort(), b.argsort().argsort()]).double()
    return float(torch.corrcoef(ranks)[0, 1])


def films() -> dict[str, Any]:
    """Train a GRU on film sentences; compare the measures on the demo's sentences and on 200 of the test split."""
    run = unrolled.train("sample:films", model="gru", **RECIPES["gru"])
    measures = ("occlusion", "input_x_gradient", "gradient_norm")
    shown = []
    for text in SENTENCES:
        trace = run.explain(text)
        words = {name: [round(value, 4) for value in trace[name][0].tolist()] for name in measures}
        shown.append({"text": text, "answer": trace.about.answers[0], "tokens": trace.about.tokens, **words})
    from unrolled.data.splits.labelled import load_splits

    texts = [text for text in load_splits("sample:films", run.config.data).test.texts() if len(text.split()) > 4][:200]
    correlations: dict[str, list[float]] = {"occlusion, gradient × input": [], "|occlusion|, gradient norm": []}
    same_first = []
    for text in texts:
        trace = run.explain(text)
        bits, product, norm = (trace[name][0] for name in measures)
        correlations["occlusion, gradient × input"].append(spearman(bits, product))
        correlations["|occlusion|, gradient norm"].append(spearman(bits.abs(), norm))
        same_first.append(int(bits.abs().argmax()) == int(product.abs().argmax()))
    return {
        "accuracy": run.test.accuracy,
        "sentences": shown,
        "texts": len(texts),
        "rank_correlation": {name: float(np.mean(values)) for name, values in correlations.items()},
        "same_first_word": float(np.mean(same_first)),
    }


def train(model: Model, task: synthetic.Synthetic, updates: int, rate: float) -> tuple[float, dict[int, Model]]:
    """Train on a synthetic task; return the accuracy on fresh batches, and snapshots after ten updates, log-spaced.

    T grows to its length over the first two thirds: at T = 100 no recurrent model learned anything otherwise.
    """
    optimizer = torch.optim.Adam(model.parameters(), lr=rate)
    snapshots = {0: copy.deepcopy(model).eval()}
    snapshot_updates = {round(updates ** (i / 9)) for i in range(10)}
    model.train()
    for update in range(1, updates + 1):
        fraction = min(1.0, 1.5 * update / updates)
        batch = replace(task, length=max(1, round(fraction * task.length))).batch(update, 32)
        logits, _ = model(batch.inputs)
        loss = F.cross_entropy(logits, batch.targets)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        if update in snapshot_updates:
            snapshots[update] = copy.deepcopy(model).eval()
    model.eval()
    with torch.no_grad():
        batch = task.batch(10_000_000, 256)
        return float((model(batch.inputs)[0].argmax(1) == batch.targets).float().mean()), snapshots


def gradient_norms(model: Model, task: synthetic.Synthetic) -> tuple[Tensor, Tensor]:
    """Return the answer's gradient norm (T,), and its gradient in the lowest layer (T,): means over SEQUENCES."""
    batch = task.batch(20_000_000, SEQUENCES)
    norms, slopes = [], []
    for inputs, target in zip(batch.inputs, batch.targets, strict=True):
        one = example(len(inputs), 0, inputs[None], once=True)
        one = replace(one, answers=target[None])
        norms.append(gradients(model, one)["gradient_norm"][0])
        every = gradient(model, one)
        slopes.append(next(value[0] for name, value in every.items() if ".l0." in name))
    return torch.stack(norms).mean(0), torch.stack(slopes).mean(0)


def at(values: Tensor, distances: tuple[int, ...]) -> dict[str, float]:
    """Return the values at distances back from the last step; distances beyond the first step are left out."""
    return {str(d): float(values[-1 - d]) for d in distances if d < len(values)}


def recall() -> dict[str, Any]:
    """Train on recall (the first of 8 symbols, T blanks ago); measure gradients by distance, over training."""
    models: dict[str, Any] = {}
    for name in RECALLED:
        for T in UPDATES:
            torch.manual_seed(0)
            task = synthetic.make("recall", T)
            heads = {"num_heads": 4} if name == "transformer" else {}
            config = ModelConfig(hidden_size=64, embedding_size=32, **heads)
            model = build(name, Ids(task.vocabulary_size), task.num_outputs, config, answer="once")
            updates = UPDATES[T] // (4 if name == "transformer" and T == 500 else 1)
            rate = 1e-3 if name in ("elman", "transformer") else 3e-3
            accuracy, snapshots = train(model, task, updates, rate)
            first = T + task.symbols - 1  # steps back to the first symbol
            far = (*(d for d in (1, 10, 50, 100, 200, 500) if d < first), first)
            over = {}
            for update, snapshot in snapshots.items():
                norm, slope = gradient_norms(snapshot, task)
                over[str(update)] = {"gradient_norm": at(norm, far), "gradient": at(slope, far)}
            models[f"{name}, T = {T}"] = {
                "accuracy": accuracy,
                "updates": updates,
                "first": first,
                "over_training": over,
            }
            before, after = (over[key]["gradient_norm"][str(first)] for key in ("0", str(updates)))
            norms = f"gradient norm of the symbol untrained {before:.2e}, trained {after:.2e}"
            print(f"{name:12} T {T:4} accuracy {accuracy:.2f}  {norms}", flush=True)
    return {"symbols": 8, "at_chance": 1 / 8, "hidden_size": 64, "sequences": SEQUENCES, "models": models}


def reverse() -> dict[str, Any]:
    """Train attention to reverse letters; compare its weights with the known alignment, t to S − 1 − t."""
    pairs = []
    for T in range(3, 13):
        drawn = synthetic.make("reverse", T).batch(T, 300).inputs[:, :T] - synthetic.FIRST
        words = ["".join("abcdefgh"[k] for k in symbols) for symbols in drawn.tolist()]
        pairs += [(word, word[::-1]) for word in dict.fromkeys(words)]
    run = unrolled.train(
        pairs, task="translate", model="attention", tokenizer="character", hidden_size=64, embedding_size=32,
        epochs=30, batch_tokens=2000,
    )  # fmt: skip
    wrong, far, steps, weight = 0, 0, 0, 0.0
    for symbols in (synthetic.make("reverse", 10).batch(999, 100).inputs[:, :10] - synthetic.FIRST).tolist():
        word = "".join("abcdefgh"[k] for k in symbols)
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
        "alignment_error_beyond_one_position": far / steps,
        "weight_on_the_known": weight / steps,
        "links": steps,
        "example": {"source": "abcdefgh", "weights": [[round(w, 3) for w in row] for row in shown]},
    }


def letters() -> dict[str, Any]:
    """Train letters to phonemes; measure whether the mean attended position moves from left to right in each word."""
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
        position = weights @ torch.arange(weights.shape[1], dtype=torch.float32)  # the mean attended position
        forward.append(float((position.diff() >= 0).float().mean()))
        ranks.append(spearman(position, torch.arange(len(position))))
    return {
        "exact_match": run.test.exact_match,
        "words": len(ranks),
        "steps_forward": float(np.mean(forward)),
        "monotonicity": float(np.mean(ranks)),
    }


CASES = {"cost": cost, "films": films, "recall": recall, "reverse": reverse, "letters": letters}


def main() -> None:
    """Measure one case, and save it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("case", choices=CASES)
    case = parser.parse_args().case
    print(save(f"inside_{case}", CASES[case]()))


if __name__ == "__main__":
    main()
