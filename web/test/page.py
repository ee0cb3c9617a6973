"""The page in a real browser: python web/test/page.py (`make page-test`).

Writes the page of the shipped networks, one of hostile strings, and the product's own numbers; `page.mjs` opens the
pages in Chromium (CHROMIUM, or the first that is installed) and compares.
"""

from __future__ import annotations

import copy
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import torch

import unrolled
from unrolled.page import NETWORKS, networks, page
from unrolled.runs.run import Run

HERE = Path(__file__).parent
SENTENCE, STEP, UNIT = "the plot is not, in the end, dull", 3, 4
PAYLOADS = (
    "<img src=x onerror=hacked()>", "</script><script>hacked()</script>", "<svg/onload=hacked()>",
    "javascript:hacked()",
    "'\"><b onmouseover=hacked()>",
    "<iframe srcdoc='<script>hacked()</script>'>", "{{hacked()}}", "${hacked()}", "<a href=javascript:hacked()>x</a>",
    "<style>@import 'x'</style>",
)  # fmt: skip
HOSTILE = [f"{payload}{k}" for k in range(20) for payload in PAYLOADS]


def held(run: Run, gate: str, value: float) -> float:
    """Return the probability of label 1 with a gate held in all units at STEP, by the cell's own steps."""
    ids = torch.tensor([run.example(SENTENCE).inputs[0].tolist()])
    cell = run.model.layers.cells[0]
    size = run.config.model.hidden_size
    x, state = run.model.vectors(ids), type(cell).State(torch.zeros(1, size), torch.zeros(1, size))
    with torch.no_grad():
        for t in range(ids.shape[1]):
            gates = cell.gates(cell.project(x[:, t]), state)
            if t == STEP:
                gates = gates._replace(**{gate: torch.full_like(getattr(gates, gate), value)})
            h, state = cell.advance(gates, state)
        return float(run.model.head(h).softmax(1)[0, 1])


def golden(folder: Path) -> dict[str, Any]:
    """Return the product's numbers on SENTENCE."""
    runs = {name: unrolled.load(folder / name) for name in ("feedforward", "elman", "lstm", "gru", "transformer")}
    answers = {
        name: next((answer.label, answer.probability) for answer in run.decode([SENTENCE]))
        for name, run in runs.items()
    }
    trace = runs["lstm"].explain(SENTENCE)
    return {
        "sentence": SENTENCE, "step": STEP, "unit": UNIT, "answers": answers,
        "memory": float(trace["lstm.l0.c"][STEP, UNIT]), "forget": float(trace["lstm.l0.f"][STEP, UNIT]),
        "held": held(runs["lstm"], "i", 0.0),
    }  # fmt: skip


def hostile() -> str:
    """Return a page in which every text of a user or a model is hostile."""
    packed = copy.deepcopy(list(networks()))
    for each in packed:
        each |= {"name": HOSTILE[0], "data": HOSTILE[1], "labels": HOSTILE[: len(each["labels"])]}
        for tokenizer in each["tokenizers"]:
            if each["task"] != "classify":
                tokenizer["tokens"] = [
                    *tokenizer["tokens"][:5],
                    *(HOSTILE[k % 200] for k in range(len(tokenizer["tokens"]) - 5)),
                ]
    texts = [(text, text) for text in HOSTILE]
    return page(packed, examples=texts, words=texts, prompts=HOSTILE, about=HOSTILE[2])


def main() -> int:
    """Run the browser; return its exit status."""
    names = (os.environ.get("CHROMIUM"), "chromium", "chromium-headless-shell", "google-chrome")
    browser = next((found for name in names if name and (found := shutil.which(name))), None)
    if browser is None:
        print("page not tested: there is no Chromium")
        return 0
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        shots = Path(sys.argv[1]) if len(sys.argv) > 1 else folder / "shots"
        shots.mkdir(parents=True, exist_ok=True)
        (folder / "page.html").write_text(page(networks()), encoding="utf-8")
        (folder / "hostile.html").write_text(hostile(), encoding="utf-8")
        own = Path(sys.modules[networks.__module__].__file__ or "").parent / NETWORKS
        (folder / "golden.json").write_text(json.dumps(golden(own)), encoding="utf-8")
        return subprocess.run(
            ["node", str(HERE / "page.mjs"), browser, str(folder), str(shots)], check=False
        ).returncode


if __name__ == "__main__":
    sys.exit(main())
