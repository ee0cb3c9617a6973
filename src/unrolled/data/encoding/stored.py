"""A stored tokenizer, in the format of the `tokenizers` library: read, and refused where `to_json` did not write it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import Field

from unrolled.data.encoding.pipeline import FORMS, Kind, Normalize, byte_pairs, is_whole
from unrolled.data.special import SPECIAL
from unrolled.errors import CheckpointError
from unrolled.saved import Count, Label, Open, valid

__all__ = ["StoredTokenizer", "read_stored", "refuse_foreign"]


class StoredTokenizer(NamedTuple):
    """The arguments of the tokenizer that a JSON holds."""

    kind: Kind
    tokens: list[str]
    merges: list[tuple[str, str]]
    lowercase: bool
    normalize: Normalize


def read_stored(text: str, name: Path | str) -> StoredTokenizer:
    """Return the tokenizer that the JSON of `Tokenizer.to_json` holds.

    Raises:
        CheckpointError: the JSON is damaged; the message names the fault.
    """
    stored = valid(_Stored, name, text.encode("utf-8", "surrogatepass"))
    kind, vocabulary, merges = stored.kind, stored.model.vocab, stored.model.merges
    tokens = sorted(vocabulary, key=lambda token: vocabulary[token])
    if [vocabulary[token] for token in tokens] != list(range(len(tokens))):
        raise CheckpointError(f"{name} is damaged: its ids are not 0, 1, 2, … without gaps")
    if tuple(tokens[: len(SPECIAL)]) != SPECIAL:
        raise CheckpointError(f"{name} is damaged: its first ids are not {' '.join(SPECIAL)}")
    subwords = [token for token in tokens if not is_whole(token)]
    if kind == "character" and any(len(token) != 1 for token in subwords[len(SPECIAL) :]):
        raise CheckpointError(f"{name} is damaged: a token is not one character")
    if kind in ("byte", "bpe") and subwords != byte_pairs(merges if kind == "bpe" else ()):
        raise CheckpointError(f"{name} is damaged: its vocabulary does not follow from its merges")
    if any(not {left, right} <= vocabulary.keys() for left, right in merges):
        raise CheckpointError(f"{name} is damaged: it merges subwords that are not in its vocabulary")
    return StoredTokenizer(kind, tokens, merges, stored.lowercase, stored.normalize)


def refuse_foreign(text: str, own: str, name: Path | str) -> None:
    """Refuse a JSON with other rules than ours.

    Args:
        text: the JSON that was read.
        own: the JSON that `to_json` writes for the same vocabulary.
        name: name of the file, for the message.

    Raises:
        CheckpointError: they differ by more than fields that a later version of the library added.
    """
    read, written = json.loads(text), json.loads(own)
    for key in written:
        if key != "model" and not _within(read.get(key), written[key]):
            raise CheckpointError(
                f'{name} is damaged, or from another version: its "{key}" was not written by unrolled'
            )


class _StoredModel(Open):
    """The entry `model` of a stored tokenizer."""

    vocab: dict[Label, Count]
    merges: list[tuple[Label, Label]] = Field(default_factory=list)


class _Stored(Open):
    """A stored tokenizer, in the format of the `tokenizers` library."""

    model: _StoredModel
    pre_tokenizer: dict[str, Any]
    normalizer: dict[str, Any] | None = None

    @property
    def kind(self) -> Kind:
        """The kind, which follows from the pre-tokenizer."""
        if self.pre_tokenizer.get("type") == "ByteLevel":
            return "bpe" if self.pre_tokenizer.get("use_regex") is True else "byte"
        return "word" if self.pre_tokenizer.get("behavior") == "Removed" else "character"

    @property
    def steps(self) -> list[object]:
        """The types of the normalizer's steps, in order."""
        steps = (self.normalizer or {}).get("normalizers", [self.normalizer] if self.normalizer else [])
        return [step.get("type") for step in steps if isinstance(step, dict)] if isinstance(steps, list) else []

    @property
    def lowercase(self) -> bool:
        """Folding of upper case by the normalizer."""
        return "Lowercase" in self.steps

    @property
    def normalize(self) -> Normalize:
        """The normal form of Unicode; that of words is followed by steps of their own."""
        steps = self.steps
        own = steps[: max(steps.index("Replace") - 1, 0)] if self.kind == "word" and "Replace" in steps else steps
        return next((form for form in FORMS if [form.upper()] == own), "none")


def _within(old: object, new: object) -> bool:
    """Return whether `old` equals `new`, except for fields that a later version of the library added."""
    if isinstance(old, dict) and isinstance(new, dict):
        return all(key in new and _within(value, new[key]) for key, value in old.items())
    if isinstance(old, list) and isinstance(new, list):
        return len(old) == len(new) and all(map(_within, old, new))
    return old == new
