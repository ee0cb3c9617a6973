"""Short sentences about films in which *not*, *never* and *hardly* turn the sense, and the last clause wins.

Film reviews alone are too few for a small network to learn negation, which the drawings of gates show.
"""

from __future__ import annotations

import random
from collections.abc import Collection

__all__ = ["make"]

GOOD = [
    "good",
    "great",
    "funny",
    "warm",
    "clever",
    "moving",
    "brilliant",
    "charming",
    "fresh",
    "smart",
    "touching",
    "honest",
    "gripping",
    "original",
    "sweet",
]
BAD = [
    "bad",
    "dull",
    "boring",
    "flat",
    "silly",
    "slow",
    "empty",
    "tedious",
    "weak",
    "awful",
    "predictable",
    "cold",
    "lazy",
    "ugly",
    "shallow",
    "painful",
]
NOUNS = ["film", "movie", "story", "comedy", "drama", "picture", "thriller"]
SUBJECTS = ["it", "this", "the film", "the movie", "the story", "the acting", "the ending", "the plot"]
NEGATIONS = ["not", "never", "hardly"]
BETWEEN = ["", "", "", " , as some say ,", " , in the end ,", " , to my surprise ,"]
DEGREES = ["", "", "really ", "very ", "so "]


def make(count: int, *, seed: int = 0, without: Collection[str] = ()) -> list[tuple[str, str]]:
    """Return different sentences with their labels, positive or negative.

    Args:
        without: sentences to leave out.
    """
    draw, made = random.Random(seed), dict[str, str]()
    while len(made) < count:
        text, good = _sentence(draw)
        if text not in without:
            made[text] = "positive" if good else "negative"
    return [*made.items()]


def _sentence(draw: random.Random) -> tuple[str, bool]:
    """Return a sentence, and whether it is positive."""
    text, good = _clause(draw)
    if draw.random() < 0.7:
        return text, good
    second, last = _clause(draw)
    return f"{text} , {'and' if good == last else 'but'} {second}", last


def _clause(draw: random.Random) -> tuple[str, bool]:
    good, negated = draw.random() < 0.5, draw.random() < 0.5
    word, subject = draw.choice(GOOD if good else BAD), draw.choice(SUBJECTS)
    verb = f"{subject} is{f' {draw.choice(NEGATIONS)}' if negated else ''}{draw.choice(BETWEEN)}"
    if subject in ("it", "this") and draw.random() < 0.6:
        text = f"{verb} {'an' if word[0] in 'aeiou' else 'a'} {word} {draw.choice(NOUNS)}"
    else:
        text = f"{verb} {draw.choice(DEGREES)}{word}"
    return text, good != negated
