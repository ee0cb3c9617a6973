"""GPT-2 through the door and back: our logits and ids against those of transformers, on random weights.

python benchmarks/imports.py --python .venv-transformers/bin/python

The environment of transformers makes models (imports_worker.py). They are imported here, compared, trained on for some
updates and written again; transformers reads what was written and compares. Into benchmarks/results/imports.json.
"""

from __future__ import annotations

import argparse
import json
import lzma
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import torch
from record import save
from safetensors.torch import load_file, save_file

import unrolled
from unrolled.data.special import BOS
from unrolled.interchange import gpt2
from unrolled.interchange.gpt2_tokenizer import Vocabulary, vocabulary_of
from unrolled.runs.run import Run

HERE = Path(__file__).parent
TEXT = HERE.parent / "src" / "unrolled" / "data" / "samples" / "shakespeare.train.txt.xz"
CHARACTERS = 300_000
LONGEST = 63
TRAINED = "small"
"""The model that is trained on before it is written."""


@torch.inference_mode()
def logits(run: Run, line: str) -> torch.Tensor:
    """Return the logits of a line after <bos>, by GPT-2's ids."""
    ids = run.tokenizer.encode([line])[0][:LONGEST]
    y, _ = run.model(torch.tensor([[BOS, *ids]]))
    return vocabulary_of(run.tokenizer).gathered(y[0].T).T.contiguous()


def imported(folder: Path) -> tuple[Run, dict[str, Any]]:
    """Import a model, and compare its ids and logits with those recorded."""
    began = time.process_time()
    run = unrolled.import_run(folder)
    seconds = time.process_time() - began
    recorded, expected = json.loads((folder / "expected.json").read_text()), load_file(folder / "expected.safetensors")
    ids = json.loads((folder / "vocab.json").read_text(encoding="utf-8"))
    end = ids["<|endoftext|>"]
    theirs = Vocabulary(run.tokenizer, ids, end, end).theirs()
    same = [
        theirs[run.tokenizer.encode([line])[0]].tolist() == known
        for line, known in zip(recorded["lines"], recorded["ids"], strict=True)
    ]
    differences = [
        float((logits(run, line) - expected[str(i)]).abs().max()) for i, line in enumerate(recorded["lines"])
    ]
    return run, {
        "parameters": run.record["parameters"],
        "logits": sum(value.numel() for value in expected.values()),
        "largest_logit": max(float(value.abs().max()) for value in expected.values()),
        "difference": max(differences),
        "same_ids": all(same),
        "import_cpu_seconds": seconds,
    }


def main() -> None:
    """Compare, print and save."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--python", required=True, help="Python of an environment with transformers and torch")
    python = parser.parse_args().python
    worker = [python, "-P", str(HERE / "imports_worker.py")]  # -P: our other benchmarks have names of libraries
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        text = folder / "text.txt"
        text.write_text(lzma.decompress(TEXT.read_bytes()).decode()[:CHARACTERS], encoding="utf-8")
        subprocess.run([*worker, "make", str(folder / "made"), str(text)], check=True)
        (folder / "written").mkdir()
        models = {}
        for at in sorted((folder / "made").iterdir()):
            run, models[at.name] = imported(at)
            if at.name == TRAINED:
                small = {"updates": 20, "chunk": 32, "streams": 4, "threads": 1, "cache": str(folder / "cache")}
                run = unrolled.train(str(text), start=run, learning_rate=1e-3, **small)
            gpt2.write(run, folder / "written" / at.name)
            recorded = json.loads((at / "expected.json").read_text())
            again = {str(i): logits(run, line) for i, line in enumerate(recorded["lines"])}
            save_file(again, folder / "written" / f"{at.name}.safetensors")
            (folder / "written" / f"{at.name}.json").write_text(json.dumps(recorded))
        checked = subprocess.run(
            [*worker, "check", str(folder / "written")], check=True, capture_output=True, text=True
        )
        written = json.loads(checked.stdout.splitlines()[-1])
    for at, figures in written["models"].items():
        models[at] |= {f"written_{key}": value for key, value in figures.items()} | {"trained_on": at == TRAINED}
        print(at, models[at])
    print(save("imports", {"transformers": written["transformers"], "models": models}))
    if not all(m["difference"] <= 1e-4 and m["same_ids"] and m["written_difference"] <= 1e-4 for m in models.values()):
        sys.exit("a difference above 1e-4")


if __name__ == "__main__":
    main()
