"""The vocabulary of a network that another program has trained: a file with a token a line, or a tokenizer.json.

The ids of that network follow its own vocabulary; ours begin with the special tokens. So the rows of its embedding are
brought into another order, and a special token that it lacks has none.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from unrolled.config import spelled
from unrolled.data.encoding.tokenizers import Tokenizer, byte_pairs
from unrolled.data.examples.class_names import read_class_names
from unrolled.data.special import BOS, EOS, PAD, SEP, SPECIAL, UNK
from unrolled.errors import CheckpointError, ConfigError, DataError, excerpt, nearest
from unrolled.interchange.gpt2_tokenizer import read_byte_pairs
from unrolled.interchange.imported import file_bytes, in_our_order
from unrolled.saved import Count, Label, Open, decoded, valid

__all__ = ["Vocabulary", "of_tokenizer", "read_vocabulary"]

log = logging.getLogger("unrolled")

MEANINGS = {
    **dict.fromkeys(("pad", "padding"), PAD),
    **dict.fromkeys(("unk", "unknown", "oov"), UNK),
    **dict.fromkeys(("bos", "s", "sos"), BOS),
    **dict.fromkeys(("eos", "/s", "|endoftext|"), EOS),
    "sep": SEP,
}
"""Our special token for the names that others give it, in <> or [], in letters of any case."""
NOT_OURS = (
    "is a tokenizer.json of neither unrolled nor byte pairs on bytes (ByteLevel without prefix space): give a file "
    "with a token a line"
)
SHOWN = 5


class Vocabulary(NamedTuple):
    """A vocabulary with our ids and those of the network.

    Args:
        tokenizer: the tokeniser with our ids.
        theirs: the network's id of each of ours, (V,); −1 of a special token that it lacks.
        size: the number of the network's ids.
    """

    tokenizer: Tokenizer
    theirs: Tensor
    size: int

    def rows(self, rows: Tensor, *, lacking: float = 0.0) -> Tensor:
        """Return rows (size, …) in the order of our ids, (V, …); `lacking` where the network has no such token."""
        return in_our_order(rows, self.theirs, lacking=lacking)


class _Model(Open):
    vocab: dict[Label, Count]


class _File(Open):
    """The content of a tokenizer.json, as far as all kinds have it."""

    model: _Model


def of_tokenizer(tokenizer: Tokenizer) -> Vocabulary:
    """Return the vocabulary of a network that has our ids."""
    V = tokenizer.vocabulary_size
    return Vocabulary(tokenizer, torch.arange(V), V)


def read_vocabulary(path: Path, *, unknown: str | None = None, lowercase: bool = False) -> Vocabulary:
    """Return the vocabulary of a file.

    Args:
        path: a file with a token a line, in the order of the ids, for a tokeniser of kind word; or a tokenizer.json of
            unrolled, or of byte pairs on bytes.
        unknown: the token for all that is not in the vocabulary, if its name is not a usual one.
        lowercase: whether texts are converted to lower case, of a file with a token a line.

    Raises:
        DataError: a line is empty, occurs twice or has blanks around its token.
        CheckpointError: a tokenizer.json that is damaged or of another kind.
        ConfigError: `unknown` is no token, or one with a usual name is there; an option without effect.
    """
    if path.suffix != ".json":
        return _of_lines(path, unknown, lowercase=lowercase)
    if lowercase:
        raise ConfigError(f"{spelled('lowercase')} is for a file with a token a line: {path} says it itself")
    data = file_bytes(path)
    ids = valid(_File, path, data, problem=NOT_OURS).model.vocab
    if all(ids.get(token) == i for i, token in enumerate(SPECIAL)):
        return of_tokenizer(Tokenizer.from_json(decoded(path, data), path))
    return _of_byte_pairs(path, unknown)


def _of_lines(path: Path, unknown: str | None, *, lowercase: bool) -> Vocabulary:
    """Return the vocabulary of a file with a token a line."""
    tokens = read_class_names(path)
    _refuse_lines(path, tokens)
    special = _special(path, tokens, unknown)
    regular = [i for i in range(len(tokens)) if i not in special.values()]
    tokenizer = Tokenizer("word", (*SPECIAL, *(tokens[i] for i in regular)), lowercase=lowercase)
    _warn_of_unreachable(path, tokenizer, [tokens[i] for i in regular])
    return Vocabulary(tokenizer, torch.tensor([*_ids(special), *regular]), len(tokens))


def _of_byte_pairs(path: Path, unknown: str | None) -> Vocabulary:
    """Return the vocabulary of byte pairs on bytes, with any special tokens at any ids."""
    ids, merges = read_byte_pairs(path, problem=NOT_OURS)
    tokens = sorted(ids, key=lambda token: ids[token])
    if [ids[token] for token in tokens] != list(range(len(tokens))):
        raise CheckpointError(f"{path} is damaged: its ids are not 0, 1, 2, … without gaps")
    special = _special(path, tokens, unknown)
    every = byte_pairs(merges)
    regular = every[len(SPECIAL) :]
    lacking = [token for token in regular if token not in ids]
    others = sorted(set(ids) - set(regular) - {tokens[i] for i in special.values()})
    if lacking or others:
        fault = (
            f"lacks the token {_quoted(lacking)}" if lacking else f"has a token that no merge makes {_quoted(others)}"
        )
        raise CheckpointError(f"{path} {fault}: each is a byte, the result of a merge or a special token")
    theirs = torch.tensor([*_ids(special), *(ids[token] for token in regular)])
    return Vocabulary(Tokenizer("bpe", every, merges=merges), theirs, len(ids))


def _special(path: Path, tokens: Sequence[str], unknown: str | None) -> dict[int, int]:
    """Return the network's id for those of our special tokens that it has."""
    found: dict[int, int] = {}
    for i, token in enumerate(tokens):
        meaning = UNK if token == unknown else _meaning(token)
        if meaning is None:
            continue
        if meaning in found:
            raise ConfigError(
                f"{path} has two tokens that mean {SPECIAL[meaning]}, {_quoted([tokens[found[meaning]], token])}: "
                f"remove {spelled('unknown')}, or rename one of them"
            )
        found[meaning] = i
    if unknown is not None and unknown not in tokens:
        raise ConfigError(
            f'{spelled("unknown")}: {path} has no token "{excerpt(unknown, 40)}"{nearest(unknown, tokens)}'
        )
    return found


def _meaning(token: str) -> int | None:
    """Return our special token that a token means, or None."""
    if len(token) < 3 or (token[0], token[-1]) not in (("<", ">"), ("[", "]")):
        return None
    return MEANINGS.get(token[1:-1].casefold())


def _ids(special: Mapping[int, int]) -> list[int]:
    return [special.get(token, -1) for token in range(len(SPECIAL))]


def _refuse_lines(path: Path, tokens: Sequence[str]) -> None:
    """Refuse lines that are no tokens of kind word."""
    if not tokens:
        raise DataError(
            "the vocabulary is empty", file=str(path), fix="write a token in each line, in the order of ids"
        )
    first: dict[str, int] = {}
    for number, token in enumerate(tokens, start=1):
        if token != token.strip() or not token:
            problem = "the token has blanks around it" if token.strip() else "the line is empty"
            fix = "a line is a token, and its number the id of the token"
            raise DataError(problem, file=str(path), line=number, row=token, fix=fix)
        if token in first:
            problem = f'"{excerpt(token, 40)}" is the token of line {first[token]:,}, too'
            raise DataError(problem, file=str(path), line=number, fix="every id has a token of its own")
        first[token] = number


def _warn_of_unreachable(path: Path, tokenizer: Tokenizer, tokens: Sequence[str]) -> None:
    """Log the tokens that no text has, since our words are split or folded in another way."""
    found = tokenizer.encode(tokens)
    lost = [token for i, token in enumerate(tokens) if found[i] != [len(SPECIAL) + i]]
    if lost:
        log.warning(
            "%s: %s of %s tokens are never read, since texts are split in another way (case folded: %s): %s",
            path,
            f"{len(lost):,}",
            f"{len(tokens):,}",
            "yes" if tokenizer.lowercase else "no",
            _quoted(lost),
        )


def _quoted(tokens: Sequence[str]) -> str:
    more = ", …" if len(tokens) > SHOWN else ""
    return ", ".join(f'"{excerpt(token, 20)}"' for token in tokens[:SHOWN]) + more
