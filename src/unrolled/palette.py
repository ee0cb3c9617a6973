"""Colours by function, each with its counterpart for a dark background.

Texts have a contrast of at least 4.8 on CARD. The two signs differ for colour-blind readers too; gates also have their
letters and places.
"""

from __future__ import annotations

import re

__all__ = [
    "ABOVE",
    "BELOW",
    "BELT",
    "CARD",
    "DARK",
    "INK",
    "INVERTED",
    "KEEP",
    "LINE",
    "MEMORY",
    "PALE",
    "PAPER",
    "RESET",
    "SERIES",
    "SHOW",
    "SOFT",
    "WIRE",
    "WRITE",
    "dark_rules",
]

PAPER, CARD = "#faf9f6", "#ffffff"  # a page, and the ground of a picture
INK, SOFT = "#1b1e26", "#565d6b"  # text, captions
LINE, WIRE = "#e4e1d9", "#a9aeb9"  # borders, vectors
MEMORY, BELT = "#6b4bc3", "#eee9fb"  # c (of a GRU h) and attention; the band that it moves on
KEEP, WRITE, SHOW, RESET = "#a01560", "#0a825c", "#96640a", "#12788f"  # gates: f and z, i and 1 − z, o, r
ABOVE, BELOW = "#1c64b8", "#c0440c"  # signed numbers
PALE = {
    KEEP: "#f0d3e1",
    WRITE: "#cde8df",
    SHOW: "#f0e2c8",
    RESET: "#cfe6ea",
    ABOVE: "#d2e1f3",
    BELOW: "#f6d9cb",
}
"""The filling of a box, by the colour of its edge or sign."""
SERIES = (ABOVE, BELOW, MEMORY, WRITE)  # of charts, where marks differ too

DARK = {
    PAPER: "#121419",
    CARD: "#1a1d24",
    INK: "#eceef2",
    SOFT: "#a6adba",
    LINE: "#2d323c",
    WIRE: "#626b7a",
    MEMORY: "#b8a2ff",
    BELT: "#2b2546",
    KEEP: "#ee6aa6",
    WRITE: "#63e6b4",
    SHOW: "#e9b44f",
    RESET: "#4fb9d8",
    ABOVE: "#74b3ff",
    BELOW: "#ff9a6c",
    PALE[KEEP]: "#4a1f36",
    PALE[WRITE]: "#173f33",
    PALE[SHOW]: "#43341a",
    PALE[RESET]: "#163a44",
    PALE[ABOVE]: "#1f3a57",
    PALE[BELOW]: "#4f2c1c",
}
"""By colour on a light background."""
INVERTED = 0.9  # of a scale of numbers, so that white becomes the colour of a dark CARD and no black hole


def dark_rules(drawn: str) -> str:
    """Return the style sheet that turns the colours of SVG elements dark where the reader prefers it; "" if none is.

    Args:
        drawn: the elements. Colours outside the palette stay, but for scales of numbers, which are inverted.
    """
    used = dict.fromkeys(re.findall(r'(fill|stroke)="(#[0-9a-f]{6})"', drawn))
    rules = [f'[{key}="{colour}"]{{{key}:{DARK[colour]}}}' for key, colour in used if colour in DARK]
    if "data-scale" in drawn:
        rules.append(f"[data-scale]{{filter:invert({INVERTED}) hue-rotate(180deg)}}")
    return f"@media (prefers-color-scheme:dark){{{''.join(sorted(rules))}}}" if rules else ""
