"""The page as one HTML file, which computes its networks without a server or another file.

    html = page([pack(run) for run in runs], examples=[("it is funny", "positive")])

Texts of users and models are in one JSON element, in which "<" is written as its escape; the page's script puts them
into text nodes only. The file's policy (Content-Security-Policy) allows its own script alone and no request.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from importlib.resources import files
from pathlib import Path
from string import Template
from typing import Any

from unrolled import lineage
from unrolled.errors import ConfigError
from unrolled.page.pack import pack

__all__ = ["BUILT", "NETWORKS", "networks", "page", "sources_sum"]

BUILT, NETWORKS = "built", "networks"
"""The folders beside this file: the output of `make page`, and the runs that the page shows by itself."""

POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'"

EXAMPLES = (
    ("it is too long, but it is funny", "positive"),
    ("it is funny, but it is too long", "negative"),
    ("it is not, as some say, a pointless film", "positive"),
    ("the film is not, to my surprise, dull", "positive"),
    ("a warm and funny film", "positive"),
    ("i was never bored", "positive"),
)
"""Sentences that the networks were not trained on, and their labels."""
WORDS = (
    ("craftsmanship", "K R AE F T S M AH N SH IH P"),
    ("drowning", "D R AW N IH NG"),
    ("indifference", "IH N D IH F ER AH N S"),
    ("helicopter", "HH EH L IH K AA P T ER"),
    ("pointless", "P OY N T L AH S"),
    ("schmidhuber", None),
)
"""Words and their phonemes in CMUdict; the first three are of its test split."""
PROMPTS = ("the film is not", "it is too long , but", "i was never", "a warm and")
ABOUT = (
    "Sentences: trained on 9,028 sentences of film reviews and 6,000 short made ones, in which not, never and hardly "
    "turn the sense. Words: trained on the CMU pronouncing dictionary."
)


def page(
    packed: Sequence[Mapping[str, Any]],
    *,
    examples: Iterable[tuple[str, str | None]] = EXAMPLES,
    words: Iterable[tuple[str, str | None]] = WORDS,
    prompts: Iterable[str] = PROMPTS,
    about: str = ABOUT,
) -> str:
    """Return the page of some networks as HTML.

    Args:
        packed: networks, see `pack`: one of each model at most.
        examples: texts for the classifiers, and their labels where they are known.
        words: sources for the translators, and their targets where they are known.
        prompts: beginnings for the language model.
        about: a sentence on the data of the networks.

    Raises:
        ConfigError: there is no network, or two of one model.
    """
    models = [each["model"] for each in packed]
    if not models or len(set(models)) < len(models):
        raise ConfigError(f"a page needs networks of different models: got {', '.join(models) or 'none'}")
    order = [known.name for known in lineage.LINEAGE]
    data = {
        "source": "tab",
        "networks": sorted(packed, key=lambda each: order.index(each["model"])),
        "examples": _examples(examples),
        "words": _examples(words),
        "prompts": list(prompts),
        "about": about,
    }
    script, style = _built("page.js"), _built("page.css")
    return Template(_template()).substitute(
        policy=f"{POLICY}; script-src {_source(script)}",
        style=style,
        script=script,
        data=json.dumps(data, ensure_ascii=False, separators=(",", ":")).replace("<", "\\u003c"),
    )


@cache
def networks() -> tuple[dict[str, Any], ...]:
    """Return the networks that the package carries, packed."""
    from unrolled.runs.load import load

    folder = Path(str(files(__package__).joinpath(NETWORKS)))
    return tuple(pack(load(each)) for each in sorted(folder.iterdir()) if (each / "config.json").is_file())


def sources_sum(web: Path) -> str:
    """Return the SHA-256 of the page's sources: of the lines "path, sum" of every file that `make page` reads.

    Args:
        web: the folder web/ of a checkout.
    """
    own = [path for path in sorted(web.rglob("*")) if path.is_file() and "node_modules" not in path.parts]
    read = [
        path for path in own if path.relative_to(web).parts[0] in ("src", "build.mjs", "package.json", "tsconfig.json")
    ]
    diagrams = sorted((web.parent / "src/unrolled/inside/diagrams").glob("*.json"))
    names = {path: path.relative_to(web.parent).as_posix() for path in (*read, *diagrams)}
    lines = (
        f"{name} {hashlib.sha256(path.read_bytes()).hexdigest()}\n"
        for path, name in sorted(names.items(), key=lambda item: item[1])
    )
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def _examples(pairs: Iterable[tuple[str, str | None]]) -> list[dict[str, str | None]]:
    return [{"text": text, "answer": answer} for text, answer in pairs]


def _built(name: str) -> str:
    return files(__package__).joinpath(BUILT, name).read_text(encoding="utf-8")


def _template() -> str:
    return files(__package__).joinpath("page.html").read_text(encoding="utf-8")


def _source(script: str) -> str:
    digest = hashlib.sha256(script.encode()).digest()
    return f"'sha256-{base64.b64encode(digest).decode()}'"
