"""Four models on film sentences over three seeds, and a bag of words of scikit-learn as their baseline.

    python benchmarks/films.py             the table of the README
    python benchmarks/films.py --search    the trials that found the demo's settings, judged on the valid split

All figures are of the test split (495 sentences) unless they say valid.
"""

from __future__ import annotations

import argparse
import statistics
import time
from typing import Any

from record import save
from sklearn.feature_extraction.text import CountVectorizer, TfidfVectorizer
from sklearn.linear_model import LogisticRegression

import unrolled
from unrolled.cli.demo import BOTH_ENDS, RECIPES, SEARCHED
from unrolled.config import DataConfig
from unrolled.data.splits.labelled import load_splits
from unrolled.evaluation import wilson
from unrolled.training import Run, Score

SEEDS = (0, 1, 2)
TRIALS: dict[str, list[dict[str, Any]]] = {
    "feedforward": [{"epochs": 4}, {"epochs": 6, "dropout": 0.6}, {"epochs": 8, "read": "max"}],
    "elman": [{"epochs": 6}, {"epochs": 6, "read": "mean"}, {"epochs": 6, **BOTH_ENDS}],
    "lstm": [{"epochs": 4}, {"epochs": 4, "bidirectional": True}, {"epochs": 4, "dropout": 0.6, **BOTH_ENDS}],
    "gru": [{"epochs": 4}, {"epochs": 4, "bidirectional": True}, {"epochs": 4, "dropout": 0.6, **BOTH_ENDS}],
}


def train(name: str, seed: int, settings: dict[str, Any]) -> tuple[Run, Score]:
    """Train a model; return the run, and its best score on the valid split."""
    best: list[Score] = []
    run = unrolled.train(
        "sample:films",
        model=name,
        seed=seed,
        report=lambda event: best.append(event.valid) if event.best and event.valid else None,
        **SEARCHED | settings,
    )
    return run, best[-1]


def figures(name: str, settings: dict[str, Any]) -> dict[str, Any]:
    """Return the figures of a model over the seeds."""
    runs = [train(name, seed, settings) for seed in SEEDS]
    results = [run.test for run, _ in runs if run.test is not None]
    records = [run.record for run, _ in runs]
    return {
        "model": name,
        "settings": settings,
        "accuracy": statistics.mean(result.accuracy for result in results),
        "accuracy_by_seed": [result.accuracy for result in results],
        "interval_by_seed": [list(result.accuracy_interval) for result in results],
        "macro_f1": statistics.mean(result.macro_f1 for result in results),
        "majority_accuracy": results[0].majority_accuracy,
        "parameters": records[0]["parameters"],
        "seconds": statistics.median(record["training"]["total_seconds"] for record in records),
        "tokens_per_second": statistics.median(record["training"]["tokens_per_second"] for record in records),
        "valid_loss_nats": statistics.mean(score.loss_nats for _, score in runs),
        "valid_accuracy": statistics.mean(score.accuracy for _, score in runs),
    }


def scikit_learn() -> dict[str, Any]:
    """Return the figures of logistic regression over a bag of words; vectoriser and C are chosen on the valid split."""
    began, splits = time.perf_counter(), load_splits("sample:films", DataConfig())
    best: tuple[float, Any, Any, dict[str, Any]] | None = None
    for vectorizer in (CountVectorizer(binary=True, min_df=2), TfidfVectorizer(min_df=2), TfidfVectorizer(min_df=1)):
        x = vectorizer.fit_transform(splits.train.texts())
        for C in (0.1, 0.3, 1.0, 3.0, 10.0):
            model = LogisticRegression(C=C, max_iter=2000).fit(x, splits.train.labels())
            valid = model.score(vectorizer.transform(splits.valid.texts()), splits.valid.labels())
            if best is None or valid > best[0]:
                chosen = {"vectorizer": type(vectorizer).__name__, "min_df": vectorizer.min_df, "C": C}
                best = (valid, vectorizer, model, chosen)
    assert best is not None
    valid, vectorizer, model, chosen = best
    accuracy = model.score(vectorizer.transform(splits.test.texts()), splits.test.labels())
    n = len(splits.test)
    return {
        "model": "scikit-learn bag of words",
        "settings": chosen,
        "accuracy": accuracy,
        "interval_by_seed": [list(wilson(round(accuracy * n), n))],
        "valid_accuracy": valid,
        "parameters": int(model.coef_.size + 1),
        "seconds": time.perf_counter() - began,
    }


def show(measured: dict[str, Any]) -> None:
    """Print the figures in one line."""
    seeds = " ".join(f"{accuracy:.1%}" for accuracy in measured.get("accuracy_by_seed", []))
    low, high = measured["interval_by_seed"][0]
    print(
        f"{measured['model']:<26} accuracy {measured['accuracy']:.1%}  (by seed {seeds or '-'}; one seed's interval "
        f"{low:.1%} to {high:.1%})  valid {measured['valid_accuracy']:.1%}  {measured['seconds']:.1f} s  "
        f"{measured['settings']}",
        flush=True,
    )


def main() -> None:
    """Measure, print and save."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--search", action="store_true", help="the trials that found the settings")
    search = parser.parse_args().search
    cases = TRIALS if search else {name: [settings] for name, settings in RECIPES.items()}
    models = []
    for name, trials in cases.items():
        for settings in trials:
            models.append(figures(name, settings))
            show(models[-1])
    if not search:
        models.append(scikit_learn())
        show(models[-1])
    measured = {"data": "sample:films", "seeds": SEEDS, "models": models}
    print(save("films_search" if search else "films", measured, "scikit-learn"))


if __name__ == "__main__":
    main()
