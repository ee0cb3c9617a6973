"""Names that files, folders and published data sets give to the training, validation and test split."""

from __future__ import annotations

import re
from collections.abc import Iterable

from unrolled.errors import DataError, nearest

__all__ = ["SPLITS", "no_split", "split_named", "split_within", "splits_among"]

NAMES = {
    "train": ("train", "training"),
    "valid": ("validation", "valid", "val", "dev", "devel", "development", "eval", "evaluation", "validate"),
    "test": ("test", "testing", "t10k"),
}
SPLITS = tuple(NAMES)
SPLIT_OF = {name: split for split, names in NAMES.items() for name in names}
SUFFIX = re.compile(r"[-_. ]?(set|data|split|images)$")

PARTS = re.compile(r"[-_. ]+")


def split_named(name: str) -> str | None:
    """Return the split that a name means, in any case: "train", "valid", "test", or None for another name."""
    name = name.strip("-_. ").casefold()
    return SPLIT_OF.get(name) or SPLIT_OF.get(SUFFIX.sub("", name))


def no_split(name: str, split: str, addresses: Iterable[str]) -> DataError:
    """Return the error of a split that fixed data do not have.

    Args:
        name: noun and name of the data.
        split: the split that was named.
        addresses: those of the splits that it has.
    """
    return DataError(
        f'{name} has no split "{split}"{nearest(split, SPLITS)}', fix=f"its splits are {', '.join(addresses)}"
    )


def split_within(name: str) -> str | None:
    """Return the split that one part of a name means, as in ptb.train and test-00001; None if none does, or two do."""
    found = {split for part in PARTS.split(name) if (split := SPLIT_OF.get(part.casefold()))}
    return found.pop() if len(found) == 1 else None


def splits_among(names: Iterable[str], file: str) -> dict[str, str]:
    """Return the name of each split among names, which may include other names; `file` is their place in messages.

    Raises:
        DataError: two names mean the same split.
    """
    found: dict[str, str] = {}
    for name in names:
        split = split_named(name)
        if split in found:
            raise DataError(
                f'"{found[split]}" and "{name}" both mean the {split} split', file=file, fix="rename or remove one"
            )
        if split:
            found[split] = name
    return {split: found[split] for split in SPLITS if split in found}
