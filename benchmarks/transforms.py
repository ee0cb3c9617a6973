"""The transforms of torch.nn next to ours, as a table: docs/transforms.md and benchmarks/results/transforms.json.

python benchmarks/transforms.py [--group autograd] [--verbose]

With --group only the table of one group is printed.

Words: same (bits), equal (up to rounding), same error (type and message), better (torch fails, ours is right where
torch computes it in float64), DIFFERS. A number is a count of kinds of modules.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import torch
from record import save

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from transforms import TRANSFORMS
from transforms.sides import Comparison, Transform, run_both

HEAD = """# Transforms of `unrolled.nn` next to torch.nn

Each transform is applied to torch's module and to ours with the same weights, for every kind of module it concerns:
RNN (tanh and relu), GRU and LSTM layers (plain, two layers in two directions, batch_first, without biases) and their
cells. The outcomes are compared: values, gradients, errors.

- **same**: the same bits. **equal**: equal up to rounding. **same error**: the same type and message.
- **better**: torch fails, and ours gives the values that torch computes in float64.

A number is a count of kinds. Together: {counts}.

`python benchmarks/transforms.py`, 4 minutes, writes this page and `benchmarks/results/transforms.json` (machine,
versions, date); `tests/nn/test_transforms.py` runs the same comparisons in the test suite. The rule behind them is that
of `unrolled.eager`: our kernels compute plain eager calls, and torch's own path computes all others."""


def main() -> int:
    """Print the table; return 1 if anything differs."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--group", help="only this group, for example autograd, func, recording")
    parser.add_argument("--verbose", action="store_true", help="print the details of what differs")
    options = parser.parse_args()
    torch.set_num_threads(1)
    words: Counter[str] = Counter()
    lines: list[str] = []

    def show(line: str) -> None:
        lines.append(line)
        print(line, flush=True)

    for group in dict.fromkeys(t.group for t in TRANSFORMS if options.group in (None, t.group)):
        show(f"\n## {group}\n\n| transform | kinds | torch.nn | unrolled.nn |\n|---|---|---|---|")
        for transform in (t for t in TRANSFORMS if t.group == group):
            found = dict(outcomes(transform))
            words.update(compared.word for compared in found.values())
            show(row(transform, list(found.values())))
            for kind, compared in found.items():
                if options.verbose and compared.word == "DIFFERS":
                    print(f"\n{kind}: {compared.details}\n", file=sys.stderr)
    counts = ", ".join(f"{count:,} {word}" for word, count in words.most_common())
    print("\n" + counts)
    if options.group is None:
        transforms = [line for line in lines if line.startswith("| ")]
        save("transforms", {"counts": dict(words), "table": transforms})
        page = [HEAD.format(counts=counts), *lines, ""]
        (Path(__file__).parents[1] / "docs" / "transforms.md").write_text("\n".join(page), encoding="utf-8")
    return 1 if words["DIFFERS"] else 0


def outcomes(transform: Transform) -> Iterator[tuple[str, Comparison]]:
    """Yield the comparison of each kind."""
    for kind in () if transform.missing else transform.on:
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            yield kind.name, run_both(transform, kind)


def row(transform: Transform, found: list[Comparison]) -> str:
    """Return a line of the table."""
    if transform.missing:
        return f"| {transform.name} | 0 | | not installed: {', '.join(transform.missing)} |"
    errors = Counter(type(c.theirs).__name__ for c in found if isinstance(c.theirs, Exception))
    theirs = [f"{count} × {name}" for name, count in errors.items()]
    if works := len(found) - sum(errors.values()):
        theirs.insert(0, "works" if works == len(found) else f"{works} work")
    ours = Counter(c.word for c in found)
    text = ", ".join(word if count == len(found) else f"{count} {word}" for word, count in ours.items())
    return f"| {transform.name} | {len(found)} | {', '.join(theirs)} | {text} |"


if __name__ == "__main__":
    sys.exit(main())
