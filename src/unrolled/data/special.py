"""The special tokens, whose ids 0 to 4 are those of every vocabulary."""

from __future__ import annotations

__all__ = ["BOS", "EOS", "PAD", "SEP", "SPECIAL", "UNK"]

SPECIAL = ("<pad>", "<unk>", "<bos>", "<eos>", "<sep>")
PAD, UNK, BOS, EOS, SEP = range(5)
