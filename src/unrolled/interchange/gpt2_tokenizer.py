"""The tokeniser of GPT-2, read from its files and written to them: byte pairs, with other ids than ours.

Merges alone decide how a text is split, and our kind bpe splits as GPT-2 does. So only the ids differ: ours are the
five special tokens, the 256 bytes by value and the merges in order; GPT-2's the bytes with the printable ones first,
the merges, and <|endoftext|>. A text is never searched for special tokens here: "<|endoftext|>" in a text is read as
its characters.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

import torch
from pydantic import Field
from torch import Tensor

from unrolled.data.encoding.tokenizers import BOS, BYTES, EOS, SPECIAL, Tokenizer, byte_pairs
from unrolled.errors import CheckpointError, excerpt
from unrolled.interchange.imported import file_bytes, in_our_order
from unrolled.runs.folder import to_json
from unrolled.saved import Count, Label, Open, decoded, valid

__all__ = ["Vocabulary", "read_byte_pairs", "read_vocabulary", "tokenizer_files", "vocabulary_of"]

VOCABULARY, MERGES, TOKENIZER = "vocab.json", "merges.txt", "tokenizer.json"
HEADER = "#version"
"""Beginning of the first line of merges.txt, which is no merge."""
END, BEGIN = "<|endoftext|>", "<|startoftext|>"
NOT_BYTE_LEVEL = "is no tokeniser of GPT-2"


class Vocabulary(NamedTuple):
    """A vocabulary with our ids and GPT-2's.

    Args:
        tokenizer: the tokeniser with our ids.
        ids: GPT-2's id of each token, from 0 without gaps.
        bos, eos: GPT-2's ids of the tokens that begin and end a text; of GPT-2 itself they are one.
    """

    tokenizer: Tokenizer
    ids: Mapping[str, int]
    bos: int
    eos: int

    @property
    def size(self) -> int:
        """The number of GPT-2's ids."""
        return len(self.ids)

    def theirs(self) -> Tensor:
        """Return GPT-2's id of each of our tokens but <pad>, <unk> and <sep>, which it lacks; −1 for these, (V,)."""
        special = [_special(self, token) for token in range(len(SPECIAL))]
        return torch.tensor(special + [self.ids[text] for _, text in _tokens(self.tokenizer)[len(SPECIAL) :]])

    def spread(self, rows: Tensor) -> Tensor:
        """Return rows (GPT-2's size, D) in the order of our ids, (V, D), with 0 for the tokens that GPT-2 lacks."""
        return in_our_order(rows, self.theirs())

    def gathered(self, rows: Tensor, *, begins: bool = False) -> Tensor:
        """Return rows (V, D) in the order of GPT-2's ids.

        Args:
            rows: rows in the order of our ids.
            begins: whether a token that both begins and ends a text has the row of <bos>; else that of <eos>.
        """
        theirs = self.theirs()
        gathered = rows.new_empty(self.size, *rows.shape[1:])
        known = (theirs >= 0).nonzero()[:, 0]
        first, last = (EOS, BOS) if begins else (BOS, EOS)
        for ours in (torch.tensor([first]), known[known >= len(SPECIAL)], torch.tensor([last])):
            gathered[theirs[ours]] = rows[ours]
        return gathered

    def files(self) -> dict[str, bytes]:
        """Return vocab.json, merges.txt and the files with which transformers makes a tokeniser of them."""
        names = {token: text for text, token in self.ids.items()}
        special = {"bos_token": names[self.bos], "eos_token": names[self.eos], "unk_token": names[self.eos]}
        merges = "".join(f"{left} {right}\n" for left, right in _model(self.tokenizer)["merges"])
        return {
            VOCABULARY: to_json(self.ids, indent=None),
            MERGES: f"{HEADER}: 0.2\n{merges}".encode(),
            "tokenizer_config.json": to_json(special | {"tokenizer_class": "GPT2Tokenizer", "add_prefix_space": False}),
            "special_tokens_map.json": to_json(special),
        }


class _Model(Open):
    """The entry `model` of tokenizer.json: byte pairs without options of other tokenisers."""

    type: Literal["BPE"] = "BPE"
    vocab: dict[Label, Count]
    merges: list[tuple[Label, Label]] | list[str]
    dropout: None = None
    continuing_subword_prefix: Literal[""] | None = None
    end_of_word_suffix: Literal[""] | None = None
    byte_fallback: Literal[False] = False
    ignore_merges: Literal[False] = False


class _ByteLevel(Open):
    """The entry `pre_tokenizer` of tokenizer.json."""

    type: Literal["ByteLevel"]
    add_prefix_space: Literal[False]
    use_regex: Literal[True] = True


class _Added(Open):
    id: Count
    content: Label


class _TokenizerFile(Open):
    """The content of tokenizer.json."""

    model: _Model
    pre_tokenizer: _ByteLevel
    normalizer: None = None
    added_tokens: list[_Added] = Field(default_factory=list)


class _Ids(Open):
    """The content of vocab.json and added_tokens.json: the id of each token."""

    __pydantic_extra__: dict[str, Count] = Field(init=False)


def tokenizer_files(folder: Path) -> list[Path]:
    """Return the files of a tokeniser: vocab.json and merges.txt, or tokenizer.json.

    Raises:
        CheckpointError: neither is in the folder.
    """
    pair = [folder / VOCABULARY, folder / MERGES]
    if all(path.is_file() for path in pair):
        added = folder / "added_tokens.json"
        return [*pair, added] if added.is_file() else pair
    if (folder / TOKENIZER).is_file():
        return [folder / TOKENIZER]
    raise CheckpointError(
        f"{folder} has no tokeniser: neither {VOCABULARY} and {MERGES} nor {TOKENIZER}; copy them from the same model"
    )


def read_vocabulary(folder: Path, *, bos: int | None, eos: int | None, pad: int | None) -> Vocabulary:
    """Return the vocabulary of a folder.

    Args:
        folder: folder with the files of a tokeniser.
        bos, eos, pad: GPT-2's ids of special tokens, from its config.json.

    Raises:
        CheckpointError: a file is damaged or of another kind of tokeniser, or a token is not known here.
    """
    files = tokenizer_files(folder)
    if len(files) == 1:
        ids, merges = read_byte_pairs(files[0])
    else:
        ids = {token: id for file in (files[0], *files[2:]) for token, id in _ids(file).items()}
        merges = _merges(files[1], decoded(files[1], file_bytes(files[1])).split("\n"))
    where = files[0]
    if sorted(ids.values()) != list(range(len(ids))):
        raise CheckpointError(f"{where} is damaged: its ids are not 0, 1, 2, … without gaps")
    regular = byte_pairs(merges)[len(SPECIAL) :]
    if missing := next((token for token in regular if token not in ids), None):
        raise CheckpointError(f'{where} lacks the token "{excerpt(missing, 20)}", a byte or the result of a merge')
    if eos is None or eos >= len(ids):
        raise CheckpointError(f"{folder / 'config.json'} names no eos_token_id, the token between texts")
    bos = eos if bos is None else bos
    others = {token: id for token, id in ids.items() if id not in (bos, eos, pad)}.keys() - set(regular)
    if others:
        raise CheckpointError(
            f"{where} has a token that no merge makes and that {folder / 'config.json'} does not name as bos, eos or "
            f'pad: "{excerpt(min(others), 20)}"'
        )
    return Vocabulary(Tokenizer("bpe", byte_pairs(merges), merges=merges), ids, bos, eos)


def vocabulary_of(tokenizer: Tokenizer, *, distinct_bos: bool = False) -> Vocabulary:
    """Return GPT-2's ids for one of our tokenisers of kind bpe.

    Args:
        tokenizer: the tokeniser.
        distinct_bos: whether a token of its own begins a text.
    """
    in_order = sorted(BYTES)  # printable bytes are their own characters, and the others come after them
    regular = [text for token, text in _tokens(tokenizer) if token >= len(SPECIAL) + len(BYTES)]
    tokens = [*in_order, *regular, END, *([BEGIN] if distinct_bos else [])]
    ids = {text: token for token, text in enumerate(tokens)}
    return Vocabulary(tokenizer, ids, ids[BEGIN if distinct_bos else END], ids[END])


def read_byte_pairs(path: Path, *, problem: str = NOT_BYTE_LEVEL) -> tuple[dict[str, int], list[tuple[str, str]]]:
    """Return the ids of all tokens, and the merges, of the tokenizer.json of byte pairs.

    Args:
        path: the file.
        problem: the fault of a tokeniser of another kind, for the message.

    Raises:
        CheckpointError: the file is damaged, or of another kind of tokeniser.
    """
    stored = valid(_TokenizerFile, path, file_bytes(path), problem=problem)
    lines = [pair if isinstance(pair, str) else " ".join(pair) for pair in stored.model.merges]
    return stored.model.vocab | {token.content: token.id for token in stored.added_tokens}, _merges(path, lines)


def _ids(path: Path) -> dict[str, int]:
    return dict(valid(_Ids, path, file_bytes(path), problem=NOT_BYTE_LEVEL).__pydantic_extra__)


def _merges(path: Path, lines: Sequence[str]) -> list[tuple[str, str]]:
    """Return the merges of lines with two tokens each.

    Raises:
        CheckpointError: a line has not two tokens, which are bytes or results of earlier merges.
    """
    merges: list[tuple[str, str]] = []
    known = set(BYTES)
    for number, line in enumerate(lines, start=1):
        if not line.strip() or (number == 1 and line.startswith(HEADER)):
            continue
        pair = line.split(" ")
        if len(pair) != 2 or not known.issuperset(pair):
            raise CheckpointError(
                f"{path}, line {number:,}: a merge is two tokens, each a byte or the result of an earlier merge: got "
                f'"{excerpt(line, 40)}"'
            )
        merges.append((pair[0], pair[1]))
        known.add("".join(pair))
    return merges


def _model(tokenizer: Tokenizer) -> dict[str, Any]:
    model: dict[str, Any] = json.loads(tokenizer.to_json())["model"]
    return model


def _tokens(tokenizer: Tokenizer) -> list[tuple[int, str]]:
    """Return our id and text of each token, ascending."""
    return sorted((token, text) for text, token in _model(tokenizer)["vocab"].items())


def _special(vocabulary: Vocabulary, token: int) -> int:
    """Return GPT-2's id of one of our special tokens, −1 if it lacks it."""
    return {BOS: vocabulary.bos, EOS: vocabulary.eos}.get(token, -1)
