"""Old defaults beside new ones: small and large data sets, paired seeds.

    python experiments/defaults.py prepare [--inflection FILE]   write the data sets, each a pool and test examples
    python experiments/defaults.py run PLAN.json                 train every case of a plan, two at a time
    python experiments/defaults.py show FILE …                   a line for each training
    python experiments/defaults.py table                         benchmarks/results/defaults.json

A case is (data set, size, model, seed). A size N is N examples of the training pool, a tenth of them for the
validation split; the test examples are others, the same for all sizes. A seed draws the examples and the weights, so
that two variants are compared on equal data and equal seeds. Results are lines of JSON in experiments/defaults/.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import random
import time
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")
HERE = Path(__file__).parent / "defaults"
DATA = Path(os.environ.get("DEFAULTS_DATA", "build/defaults"))
SIZES = (500, 5_000, None)
TEST = 1_500


# Data sets ------------------------------------------------------------------------------------------------------------


def words_of_languages() -> list[tuple[str, str]]:
    """Words of three languages with their language: a set like names with their origin."""
    import re

    from unrolled.data.reading.files import open_bytes
    from unrolled.data.reading.samples import read_sample, split_file

    found: dict[str, set[str]] = {}
    for row in read_sample("sample:verses", ("en", "fr")):
        for language, text in zip(("English", "French"), row.values, strict=False):
            for word in re.findall(r"[^\W\d_]{4,}", text):
                found.setdefault(word, set()).add(language)
    with open_bytes(split_file("tags", "train", ".conllu"), "tags") as lines:
        for line in lines.read().decode().splitlines():
            fields = line.split("\t")
            if len(fields) == 10 and re.fullmatch(r"[^\W\d_]{4,}", fields[1]):
                found.setdefault(fields[1], set()).add("Turkish")
    return sorted((word, next(iter(languages))) for word, languages in found.items() if len(languages) == 1)


def inflections(path: Path) -> list[tuple[str, str]]:
    """(lemma and slot, form) pairs."""
    slots = {
        "noun": ["plural"],
        "verb": ["past", "participle", "gerund", "third"],
        "adj": ["comparative", "superlative"],
    }
    pairs = []
    for line in path.read_text(encoding="utf-8").splitlines():
        lemma, kind, *forms = line.split(",")
        for slot, form in zip(slots.get(kind, []), forms, strict=False):
            if form and "/" not in form and " " not in lemma:
                pairs.append((f"{slot} {lemma}", form))
    return sorted(set(pairs))


def prepare(inflection: Path | None) -> None:
    """Write every data set as train pool and test examples."""
    from unrolled.data.reading.samples import read_sample

    def write(name: str, rows: list[Any], test: list[Any] | None = None) -> None:
        if test is None:
            random.Random(0).shuffle(rows)
            test, rows = rows[:TEST], rows[TEST:]
        DATA.mkdir(parents=True, exist_ok=True)
        (DATA / f"{name}.json").write_text(json.dumps({"pool": rows, "test": test[:TEST]}, ensure_ascii=False))
        print(name, len(rows), len(test[:TEST]))

    for name, columns in (("films", ("text", "label")), ("products", ("text", "label"))):
        rows = [list(row.values[:2]) for row in read_sample(f"sample:{name}", columns)]
        write(name, sorted({text: [text, label] for text, label in rows}.values()))
    write("names", [list(each) for each in words_of_languages()])
    for name, columns in (("letters", ("word", "phonemes")), ("verses", ("en", "fr"))):
        parts: dict[str, list[Any]] = {}
        for row in read_sample(f"sample:{name}", columns):
            parts.setdefault(row.values[-1], []).append(list(row.values[:2]))
        for rows in parts.values():
            random.Random(0).shuffle(rows)
        limit = 800 if name == "verses" else TEST
        write(name, parts["train"] + parts["valid"], parts["test"][:limit])
        if name == "verses":  # of sentences about as long as those of most translation data
            short = {
                part: [row for row in rows if max(len(text.split()) for text in row) <= 20]
                for part, rows in parts.items()
            }
            write("short", short["train"] + short["valid"], short["test"][:limit])
    if inflection:
        write("inflection", [list(each) for each in inflections(inflection)])
    from unrolled.data.reading.files import open_bytes
    from unrolled.data.reading.samples import split_file

    sentences: dict[str, list[Any]] = {}
    for split in ("train", "valid", "test"):
        with open_bytes(split_file("tags", split, ".conllu"), "tags") as lines:
            for block in lines.read().decode().split("\n\n"):
                fields = [line.split("\t") for line in block.splitlines() if line[:1].isdigit()]
                words = [(f[1], f[3]) for f in fields if f[0].isdigit()]
                if words:
                    sentences.setdefault(split, []).append(
                        ["\n".join(w for w, _ in words), "\n".join(t for _, t in words)]
                    )
    write("tags", sentences["train"] + sentences["valid"], sentences["test"])


def split(name: str, size: int | None, seed: int) -> dict[str, list[Any]]:
    """Return train, valid and test of a case."""
    stored = json.loads((DATA / f"{name}.json").read_text())
    pool = stored["pool"]
    random.Random(1_000 + seed).shuffle(pool)
    n = min(size or len(pool), len(pool))
    pool = pool[:n]
    held = max(n // 10, 1) if TASK[name] != "translate" else min(max(n // 10, 1), 1_500)
    return {"valid": pool[:held], "train": pool[held:], "test": stored["test"]}


# One training ---------------------------------------------------------------------------------------------------------

TASK = {
    "films": "classify", "products": "classify", "names": "classify", "fashion": "classify", "tags": "tag",
    "letters": "translate", "verses": "translate", "short": "translate", "inflection": "translate",
}  # fmt: skip
MODELS = {"classify": ("gru", "transformer"), "tag": ("gru", "transformer"), "translate": ("attention", "transformer")}
OLD: dict[str, dict[str, Any]] = {
    "classify": {"tokenizer": "word", "batch_tokens": 2_048, "epochs": 10},
    "images": {"batch_images": 128, "epochs": 10},
    "tag": {"batch_tokens": 2_048, "epochs": 16},
    "translate": {"tokenizer": "bpe", "batch_tokens": 4_096, "epochs": 10},
    "translate transformer": {"tokenizer": "bpe", "batch_tokens": 1_024, "epochs": 10},
    "translate gpt": {"tokenizer": "bpe", "batch_tokens": 1_024, "epochs": 10},
}
"""The defaults of before, where there are others now: variant "old" (kept is the model of least loss)."""
OLD_BLOCKS = {"position": "sinusoidal", "normalization": "layer", "gated": False, "nonlinearity": "relu"}
OF_DATA: dict[str, dict[str, Any]] = {"letters": {"source_tokenizer": "character", "tokenizer": "word"}}


def train(name: str, size: int | None, model: str, seed: int, variant: str, settings: dict[str, Any]) -> dict[str, Any]:
    """Train one case; return its figures."""
    import tempfile

    import torch

    torch.set_num_threads(1)
    from unrolled import machine, tasks
    from unrolled.config import from_flat
    from unrolled.training.prepare import prepare as build

    if variant == "old":
        task_name = "images" if name == "fashion" else TASK[name]
        blocks = OLD_BLOCKS if model == "transformer" else {}
        settings = {**OLD.get(f"{task_name} {model}", OLD[task_name]), **blocks, **settings}
    own = {"task": TASK[name], "model": model, "seed": seed, **settings, **OF_DATA.get(name, {})}
    with tempfile.TemporaryDirectory() as folder:
        if name == "fashion":
            data, own = fashion(size, seed, own)
        else:
            parts = split(name, size, seed)
            paths = {}
            for part, rows in parts.items():
                if TASK[name] == "tag":
                    path = Path(folder) / f"{part}.txt"
                    sentences = (
                        "\n".join(f"{w}\t{t}" for w, t in zip(a.split("\n"), b.split("\n"), strict=True))
                        for a, b in rows
                    )
                    path.write_text("\n\n".join(sentences) + "\n", encoding="utf-8")
                else:
                    path = Path(folder) / f"{part}.jsonl"
                    keys = ("text", "label") if TASK[name] == "classify" else ("source", "target")
                    path.write_text(
                        "".join(
                            json.dumps(dict(zip(keys, row, strict=True)), ensure_ascii=False) + "\n" for row in rows
                        ),
                        encoding="utf-8",
                    )
                paths[part] = str(path)
            data = paths["train"]
            own |= {"valid": paths["valid"], "test": paths["test"], "on_bad_row": "skip"}
        config = from_flat(tasks.infer_settings(data, own, None))
        kind = tasks.find(config)
        cpu = time.process_time()
        device = machine.device("cpu")
        trajectory: list[dict[str, Any]] = []
        result: dict[str, Any] = {}
        with machine.isolated(device, threads=1):
            task = kind.read(data, config)
            try:  # settings that follow from the data
                from unrolled.training import by_data

                decided = by_data.decide(task, config)
                config = from_flat(decided, base=config)
            except ImportError:
                decided = {}
            prepared = build(task, config, device)
            trainer = prepared.trainer
            probe = _probe(task, kind)

            def report(event: Any) -> None:
                if event.valid is not None:
                    entry = {
                        "update": event.update,
                        "epoch": event.epoch,
                        "train": event.loss_nats,
                        "valid": event.valid.loss_nats,
                        "accuracy": event.valid.accuracy,
                    }
                    if probe is not None:
                        began = time.process_time()
                        entry |= probe(trainer.model)
                        entry["probe_seconds"] = time.process_time() - began
                    trajectory.append(entry)

            outcome = trainer.run(report)
            seconds = time.process_time() - cpu - sum(e.get("probe_seconds", 0) for e in trajectory)
            if probe is None:
                result = _translated(prepared, task, outcome)
        return {
            "data": name,
            "size": size,
            "model": model,
            "seed": seed,
            "variant": variant,
            "settings": settings,
            "updates": outcome.updates,
            "planned": outcome.planned,
            "best_update": outcome.best_update,
            "stopped": outcome.stopped,
            "cpu_seconds": round(seconds, 1),
            "tokens": outcome.tokens,
            "parameters": prepared.num_parameters,
            "decided": decided,
            "trajectory": trajectory,
            **result,
        }


def _probe(task: Any, kind: Any) -> Any:
    """Return a function of the model: macro-F1 on valid, accuracy and macro-F1 on test; None for pairs."""
    import torch

    from unrolled.decoding.classification import probabilities
    from unrolled.decoding.tagging import word_probabilities

    def f1(predicted: Any, true: Any) -> float:
        from sklearn.metrics import f1_score

        return float(f1_score(true, predicted, average="macro", zero_division=0))

    if kind.__name__ == "Translate":
        return None
    if kind.__name__ == "Tag":
        from unrolled.data.encoding.words import Subwords

        index = {label: k for k, label in enumerate(task.labels)}
        test = (
            Subwords(task.preprocessor, task.splits.test.words()),
            torch.tensor([index[t] for t in task.splits.test.tags()]),
        )
        of = word_probabilities
    elif kind.__name__ == "ClassifyImages":
        from unrolled.runs.images import image_steps

        test = (image_steps(task.splits.test, task.pixels), torch.from_numpy(task.splits.test.among(task.labels)))
        of = probabilities
    else:
        from unrolled.data.encoding.batches import Sequences

        index = {label: k for k, label in enumerate(task.labels)}
        test = (
            Sequences(task.preprocessor.encode_each(task.splits.test.texts())),
            torch.tensor([index[t] for t in task.splits.test.labels()]),
        )
        of = probabilities

    def probe(model: Any) -> dict[str, float]:
        model.eval()
        valid = of(model, task._valid[0]).argmax(1)
        guess = of(model, test[0]).argmax(1)
        model.train()
        true = test[1].numpy()
        return {
            "valid_f1": f1(valid, task._valid[1].numpy()),
            "test": float((guess == true).mean()),
            "test_f1": f1(guess, true),
        }

    return probe


def _translated(prepared: Any, task: Any, outcome: Any) -> dict[str, Any]:
    """Return the figures of a translator on the test examples, by greedy search."""
    from unrolled.training import fit

    record = fit._record(prepared, outcome)
    run = task.run(prepared.config, prepared.model, task.preprocessor, task.labels, record, metrics=())
    result = task.test(run).to_dict()
    return {"result": {key: result[key] for key in ("bleu", "chrf", "exact_match", "word_edit_rate") if key in result}}


def fashion(size: int | None, seed: int, own: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
    """Images and settings: a random split by image."""
    import gzip

    import numpy as np

    from unrolled.data.reading.samples import image_folder

    folder = image_folder("fashion")
    arrays: dict[str, list[Any]] = {"images": [], "labels": []}
    for part in ("train", "t10k"):
        for path in sorted(folder.iterdir()):
            if path.name.startswith(part):
                raw = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
                if "images" in path.name:
                    arrays["images"].append(np.frombuffer(raw, np.uint8, offset=16).reshape(-1, 28, 28))
                else:
                    arrays["labels"].append(np.frombuffer(raw, np.uint8, offset=8))
    images, labels = np.concatenate(arrays["images"]), np.concatenate(arrays["labels"])
    n = min(size or len(images), 5_000)
    order = np.random.default_rng(seed).permutation(len(images))[: n + 1_000]
    total = len(order)
    own = {**own, "by": "row", "split_seed": seed, "test_fraction": 1_000 / total, "valid_fraction": n / 10 / total}
    return (images[order], labels[order]), own


def run(plan: Path, only: str) -> None:
    """Train every case of a plan that has no result yet, two at a time.

    A plan is a JSON list of {"variant", "data", "sizes", "models", "seeds", "settings"}.
    """
    HERE.mkdir(exist_ok=True)
    done = set()
    for path in HERE.glob("*.jsonl"):
        for line in path.read_text(encoding="utf-8").splitlines():
            each = json.loads(line)
            done.add((each["variant"], each["data"], each["size"], each["model"], each["seed"]))
    cases = []
    for entry in json.loads(plan.read_text(encoding="utf-8")):
        for name in entry["data"]:
            for size in entry["sizes"]:
                for model in entry.get("models") or MODELS[TASK[name]]:
                    for seed in entry.get("seeds", [0, 1, 2]):
                        model = "attention" if TASK[name] == "translate" and model == "gru" else model
                        case = (name, size, model, seed, entry["variant"], entry["settings"])
                        if (entry["variant"], name, size, model, seed) not in done and only in entry["variant"]:
                            cases.append(case)
    print(len(cases), "cases", flush=True)
    with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("spawn")) as pool:
        futures = {pool.submit(train, *case): case for case in cases}
        for future in as_completed(futures):
            case = futures[future]
            try:
                result = future.result()
            except Exception as error:  # noqa: BLE001  (the other cases go on)
                print("FAILED", case[:5], repr(error)[:300], flush=True)
                continue
            with (HERE / f"{case[4]}.jsonl").open("a", encoding="utf-8") as file:
                file.write(json.dumps(result, ensure_ascii=False) + "\n")
            print(shown(result), flush=True)


def shown(result: dict[str, Any]) -> str:
    """Return a line on a result."""
    steps = result["trajectory"]
    figures = " ".join(f"{k} {v:.3f}" for k, v in result.get("result", {}).items())
    if "test" in steps[-1]:
        by = {key: chosen(steps, key) for key in ("loss", "accuracy", "f1", "last")}
        figures = " ".join(
            f"{key} {each['test']:.3f}/{each['test_f1']:.3f}@{each['update']}" for key, each in by.items()
        )
    return (
        f"{result['variant']:<10} {result['data']:<9} {result['size'] or 'all':>5} {result['model']:<12} "
        f"{result['seed']} "
        f"{result['cpu_seconds']:6.1f} s  {result['updates']:>5}/{result['planned']:<5} {figures}"
    )


def chosen(steps: list[dict[str, Any]], by: str) -> dict[str, Any]:
    """Return the evaluation that is kept by a figure; of equal ones, that of least loss."""
    if by == "last":
        return steps[-1]
    key = {
        "loss": lambda e: -e["valid"],
        "accuracy": lambda e: (e["accuracy"], -e["valid"]),
        "f1": lambda e: (e["valid_f1"], -e["valid"]),
    }
    return max(steps, key=key[by])


NOW = {"classify": ("now", "g_now", "new"), "tag": ("now", "new2"), "translate": ("t_gated", "now")}
"""Variants with the defaults of today, the newest first."""
BLOCKS = ("n_swi", "t_rotswi")
"""Of Transformers, variants with today's blocks as settings."""
SCORE = {"letters": "exact_match", "inflection": "exact_match", "verses": "bleu", "short": "bleu"}
"""The figure of pairs, of greedy search; of other data, the accuracy."""


def kept(result: dict[str, Any]) -> dict[str, Any]:
    """Return the latest evaluation within a standard error of the greatest accuracy."""
    steps, n = result["trajectory"], max((result["size"] or POOLS[result["data"]]) // 10, 1)
    n *= 16 if result["data"] == "tags" else 1  # words of a sentence
    best = max(each["accuracy"] for each in steps)
    return [each for each in steps if each["accuracy"] >= best - (best * (1 - best) / n) ** 0.5][-1]


POOLS = {"films": 8_541, "products": 1_435, "names": 45_273, "tags": 4_356, "fashion": 5_000}


def table() -> None:
    """Write the scores on test examples with the old and the new defaults, by seed, and CPU seconds."""
    import sys

    sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))
    from record import save

    found: dict[tuple[Any, ...], dict[str, dict[int, dict[str, Any]]]] = {}
    for path in sorted(HERE.glob("*.jsonl")):
        for line in path.read_text(encoding="utf-8").splitlines():
            each = json.loads(line)
            case = each["data"], each["size"], each["model"]
            found.setdefault(case, {}).setdefault(each["variant"], {})[each["seed"]] = each
    rows = []
    for (name, size, model), variants in sorted(found.items(), key=lambda item: (item[0][0], item[0][1] or 10**9)):
        of = NOW[TASK[name]] if model != "transformer" else tuple(v for v in NOW[TASK[name]] if v != "new2") + BLOCKS
        new = next((variants[variant] for variant in of if variant in variants), None)
        old = variants.get("old")
        if new is None or old is None:
            continue
        seeds = sorted(old.keys() & new.keys())
        rows.append(
            {
                "data": name,
                "size": size,
                "model": model,
                "score": SCORE.get(name, "accuracy"),
                "seeds": seeds,
                "old": [score(old[seed], "loss") for seed in seeds],
                "new": [score(new[seed], "now") for seed in seeds],
                "old_seconds": [old[seed]["cpu_seconds"] for seed in seeds],
                "new_seconds": [new[seed]["cpu_seconds"] for seed in seeds],
            }
        )
    print(save("defaults", {"command": "python experiments/defaults.py table", "rows": rows}, "scikit-learn"))


def score(result: dict[str, Any], by: str) -> float:
    """Return the figure of `SCORE` on test examples; of the model kept by a rule where accuracy is."""
    if "result" in result:
        return float(result["result"][SCORE[result["data"]]])
    if by == "now" and result["model"] != "feedforward":
        return float(kept(result)["test"])
    return float(chosen(result["trajectory"], "loss")["test"])


def main() -> None:
    """Prepare, run, show or write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    verbs = parser.add_subparsers(dest="verb", required=True)
    one = verbs.add_parser("prepare")
    one.add_argument("--inflection", type=Path)
    one = verbs.add_parser("run")
    one.add_argument("plan", type=Path)
    one.add_argument("--only", default="")
    one = verbs.add_parser("show")
    one.add_argument("files", nargs="+", type=Path)
    verbs.add_parser("table")
    arguments = parser.parse_args()
    if arguments.verb == "prepare":
        prepare(arguments.inflection)
    elif arguments.verb == "table":
        table()
    elif arguments.verb == "run":
        run(arguments.plan, arguments.only)
    else:
        for path in arguments.files:
            for line in path.read_text(encoding="utf-8").splitlines():
                print(shown(json.loads(line)))


if __name__ == "__main__":
    main()
