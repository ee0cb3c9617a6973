"""A ratchet for the English of docstrings and comments in src/: two figures that may fall and never rise.

python tools/english.py            # the figures, and the files that contribute most
python tools/english.py --check    # fail where a figure is above its limit in tools/english.json
python tools/english.py --update   # lower the limits to the present figures

what        how often the word "what" stands in 1,000 words of docstrings and comments
first_words percent of docstrings whose first word is What, How, Where, Who, When, Whether, Which or Why

Both measure clauses where the field has nouns ("What a training may change" for "Settings that may change"). No
sentence should be changed only to avoid a word.
"""

from __future__ import annotations

import argparse
import ast
import io
import json
import re
import sys
import tokenize
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).parents[1]
LIMITS = Path(__file__).with_suffix(".json")
FLOOR = 0.5  # lower limits would make people contort a sentence to avoid a word
CLAUSES = {"what", "how", "where", "who", "when", "whether", "which", "why"}
WORD = re.compile(r"[A-Za-z][A-Za-z'’-]*")


def docstrings(source: str) -> list[str]:
    """Return the docstrings of a file: of the module, classes, functions, and of attributes (a string below one)."""
    return [
        node.value.value
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
    ]


def comments(source: str) -> list[str]:
    """Return the comments of a file."""
    tokens = tokenize.generate_tokens(io.StringIO(source).readline)
    return [token.string.lstrip("# ") for token in tokens if token.type == tokenize.COMMENT]


def measure() -> tuple[dict[str, float], Counter[str]]:
    """Return the figures, and how often each file has "what" or a clause as first word."""
    words = what = first = docs = 0
    files: Counter[str] = Counter()
    for path in sorted((ROOT / "src").rglob("*.py")):
        source = path.read_text(encoding="utf-8")
        found = docstrings(source)
        texts = [*found, *comments(source)]
        split = [word.lower() for text in texts for word in WORD.findall(text)]
        clauses = sum(bool(w := WORD.findall(text)) and w[0].lower() in CLAUSES for text in found)
        words, what, docs, first = words + len(split), what + split.count("what"), docs + len(found), first + clauses
        files[path.relative_to(ROOT).as_posix()] = split.count("what") + clauses
    return {"what": round(1000 * what / words, 2), "first_words": round(100 * first / docs, 2)}, files


def main() -> int:
    """Print, check or update."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--update", action="store_true")
    options = parser.parse_args()
    figures, files = measure()
    if options.update:
        limits = {name: max(FLOOR, value) for name, value in figures.items()}
        LIMITS.write_text(json.dumps(limits, indent=2) + "\n", encoding="utf-8")
    limits = json.loads(LIMITS.read_text(encoding="utf-8"))
    for name, value in figures.items():
        print(f"{name:12} {value:6.2f}  (limit {limits[name]:.2f})")
    if not options.check:
        print(*(f"{count:4}  {name}" for name, count in files.most_common(15)), sep="\n")
    above = [name for name, value in figures.items() if value > limits[name]]
    if options.check and above:
        print(f"{' and '.join(above)} rose: see the rules of English in CONTRIBUTING.md", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
