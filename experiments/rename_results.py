"""Names in benchmarks/results/ rewritten to those of format version 3: keys, settings, commands and no number.

python experiments/rename_results.py                  # rewrite in place
python experiments/rename_results.py --check COMMIT   # compare all numbers with those of a commit, file by file

A record of the change to the results that were measured before it. A test compares the numbers with those at COMMIT.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "benchmarks" / "results"
KEYS = {
    "row": "model",
    "reach": "gradient_norm",
    "reach_seconds": "gradient_norm_seconds",
    "ablation": "occlusion",
    "ablation_seconds": "occlusion_seconds",
    "ablation, gradient × input": "occlusion, gradient × input",
    "|ablation|, reach": "|occlusion|, gradient norm",
    "cut": "truncated",
    "gradient_input": "input_x_gradient",
    "kept": "saved",
    "said": "output",
    "share": "rate",
    "share_of_checkpoints": "fraction_of_checkpoints",
    "share_of_evaluations": "fraction_of_evaluations",
    "alignment_error_beyond_one_place": "alignment_error_beyond_one_position",
    "valid_share": "valid_fraction",
    "test_share": "test_fraction",
}
COMMANDS = (
    (r"(?m)^row  ", "model"),
    (r"--row\b", "--model"),
    (r"--rows\b", "--models"),
    (r"shakespeare\.py rows", "shakespeare.py models"),
    (r"beside_joeynmt\.py", "compare_joeynmt.py"),
    (r"Ask them yourself:", "Try them on your own input:"),
    (r"\n {20}(?=\S+ decode )", "\n" + 29 * " "),
)
FILES = {"shakespeare_models.json": "shakespeare_rows.json"}
"""New name of a file -> its name before."""


def renamed(value: Any) -> Any:
    """Return a JSON value with the new names, and all numbers and other texts as they were."""
    if isinstance(value, dict):
        return {_key(key, inner): renamed(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [renamed(inner) for inner in value]
    if isinstance(value, str):
        for old, new in COMMANDS:
            value = re.sub(old, new, value)
    return value


def _key(key: str, value: Any) -> str:
    """Return the new name of a key; "rows" were models, or measurements, or lines of a table."""
    if key == "rows" and _are_models(value):
        return "models"
    return KEYS.get(key, key)


def _are_models(rows: Any) -> bool:
    if isinstance(rows, dict):
        return any(re.match(r"(feedforward|elman|lstm|gru|attention|transformer|gpt)", name) for name in rows)
    return isinstance(rows, list) and any(isinstance(row, dict) and "row" in row for row in rows)


def numbers(value: Any) -> Iterator[float]:
    """Yield every number of a JSON value, in order."""
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list):
        for inner in value:
            yield from numbers(inner)
    elif isinstance(value, int | float):
        yield value


def before(path: Path, commit: str) -> Any:
    """Return a result as it was at a commit, with its old names; None where it was not there."""
    old = path.relative_to(ROOT).with_name(FILES.get(path.name, path.name))
    command = ["git", "show", f"{commit}:{old.as_posix()}"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, check=False)
    return json.loads(done.stdout) if done.returncode == 0 else None


def main() -> None:
    """Rewrite the results, or compare them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", metavar="COMMIT")
    commit = parser.parse_args().check
    for path in sorted(RESULTS.glob("*.json")):
        result = json.loads(path.read_text(encoding="utf-8"))
        if commit is None:
            text = json.dumps(renamed(result), indent=2, ensure_ascii=False) + "\n"
            path.write_text(text, encoding="utf-8")
        elif (old := before(path, commit)) is not None and list(numbers(old)) != list(numbers(result)):
            raise SystemExit(f"{path.name}: the numbers differ from those at {commit}")


if __name__ == "__main__":
    main()
