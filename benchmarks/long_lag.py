"""A task in which the first token decides how the rest is read: what Elman, LSTM and GRU learn, and their gradients.

python benchmarks/long_lag.py      into benchmarks/results/long_lag.json, in three minutes of one core

The task keyed_majority of data/synthetic.py as text: P or N, then LAG tokens a or b. The answer to P is whether most
are a, to N whether most are b. So a network has to keep the first token while it counts. Each model is trained on five
draws of the texts.
"""

from __future__ import annotations

from typing import Any

from record import save

import unrolled
from unrolled.data import synthetic

LAG = 41  # odd: there is always a majority
DRAWS = range(5)
FAR = (1, 10, 20, 30, 40)
SETTINGS: dict[str, Any] = {
    "embedding_size": 16, "hidden_size": 24, "epochs": 12, "learning_rate": 5e-3, "patience": 0, "baseline": False,
    "seed": 1,
}  # fmt: skip
MODELS: dict[str, dict[str, Any]] = {"elman": {}, "lstm": {"forget_bias": 3.0}, "gru": {}}


def make(draw: int = 0, count: int = 12_000) -> list[tuple[str, str]]:
    """Return texts with their labels, yes or no. draw: the seed of the texts."""
    inputs, targets = synthetic.make("keyed_majority", LAG, seed=draw).batch(0, count)
    texts = (" ".join("baPN"[i] for i in ids) for ids in (inputs - synthetic.FIRST).tolist())
    return [(text, "yes" if target else "no") for text, target in zip(texts, targets.tolist(), strict=True)]


def measure() -> dict[str, Any]:
    """Train each model on each draw; return scores and the fraction of the gradient that is left at each distance."""
    models: dict[str, Any] = {}
    for name, own in MODELS.items():
        for draw in DRAWS:
            run = unrolled.train(make(draw), model=name, **SETTINGS, **own)
            trace = run.explain(make(draw)[0][0], gradient=True)
            slopes = trace[f"{name}.l0.gradient"][0]
            left = {str(back): float(slopes[-1 - back] / slopes[-1]) for back in FAR}
            accuracy = run.test.accuracy
            print(f"{name:6} draw {draw} accuracy {accuracy:.3f}", {d: f"{v:.0e}" for d, v in left.items()}, flush=True)
            models.setdefault(name, []).append({"draw": draw, "accuracy": accuracy, "left": left})
    return {"lag": LAG, "settings": SETTINGS, "own": MODELS, "models": models}


if __name__ == "__main__":
    print(save("long_lag", measure()))
