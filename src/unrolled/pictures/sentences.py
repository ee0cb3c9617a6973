"""Sentences made from the numbers of a picture. All of them stand here, so that a translation is a second file."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from math import exp

__all__ = ["CELLS", "beam", "block", "change", "fraction", "number", "of_gate", "percent", "signed", "way_back"]

FRACTIONS = (  # upper bound, words, whether they take a plural verb; 0.00 is nothing and 1.00 all, as printed
    (0.005, "nothing", False),
    (0.08, "almost nothing", False),
    (0.17, "an eighth", False),
    (0.29, "a quarter", False),
    (0.42, "a third", False),
    (0.58, "half", False),
    (0.71, "two thirds", True),
    (0.84, "three quarters", True),
    (0.93, "most", False),
    (0.995, "nearly all", False),
    (float("inf"), "all", False),
)
SMALL = 0.05  # states and changes below it count as none


def number(value: float) -> str:
    """Return a number with two decimals and a real minus."""
    return f"{value:.2f}".replace("-0.00", "0.00").replace("-", "−")


def signed(value: float) -> str:
    """Return a number with its sign."""
    shown = number(value)
    return shown if shown == "0.00" or value < 0 else f"+{shown}"


def fraction(value: float, whole: str, *, one: str, many: str) -> str:
    """Return a fraction in words, as the subject of a sentence: "three quarters of the memory stay".

    Args:
        value: from 0 to 1.
        whole: of which it is a fraction.
        one, many: the verb for words in singular and plural.
    """
    words, plural = next((words, plural) for bound, words, plural in FRACTIONS if value < bound)
    return f"{words} of {whole} {many if plural else one}"


def change(before: float, after: float) -> str:
    """Return how a state changed, as a predicate."""
    if abs(after - before) < SMALL:
        return "hardly changes"
    if abs(before) < SMALL:
        return "is filled"
    if abs(after) < SMALL:
        return "is emptied"
    if before * after < 0:
        return "changes its sign"
    return "grows" if abs(after) > abs(before) else "shrinks"


def _kept(gate: str, v: Mapping[str, float], letter: str, before: str, first: bool) -> str:
    lead = f"The {gate} gate is {number(v[letter])}: "
    if first:
        return f"{lead}there is no memory yet that it could keep."
    stays = fraction(v[letter], "the memory", one="stays", many="stay")
    return f"{lead}{stays}, {signed(v[before])} becomes {signed(v['kept'])}."


def _lstm(v: Mapping[str, float], first: bool) -> dict[str, str]:
    written = fraction(v["i"], f"the candidate {signed(v['g'])}", one="is", many="are")
    shown = fraction(v["o"], f"tanh(c) = {signed(v['tanh_c'])}", one="is", many="are")
    return {
        "f": _kept("forget", v, "f", "c_before", first),
        "i": f"The input gate is {number(v['i'])}: {written} written, {signed(v['written'])}.",
        "c": f"Memory {signed(v['c'])}: {signed(v['kept'])} kept and {signed(v['written'])} written. It "
        f"{change(v['c_before'], v['c'])}.",
        "o": f"The output gate is {number(v['o'])}: {shown} output, h = {signed(v['h'])}.",
        "g": f"The candidate is {signed(v['g'])}: tanh of {signed(v['token_g'])} from the input, "
        f"{signed(v['past_g'])} from h′ and {signed(v['bias_g'])} bias.",
    }


def _gru(v: Mapping[str, float], first: bool) -> dict[str, str]:
    past = "there is no past yet" if first else f"{signed(v['sum_past_n'])} becomes {signed(v['reset_past_n'])}"
    written = fraction(v["one_minus_z"], f"the candidate {signed(v['n'])}", one="is", many="are")
    heard = fraction(v["r"], "the sum from h′", one="reaches", many="reach")
    return {
        "r": f"The reset gate is {number(v['r'])}: {heard} the candidate, {past}.",
        "z": _kept("update", v, "z", "h_before", first),
        "one_minus_z": f"1 − z is {number(v['one_minus_z'])}: {written} written, {signed(v['written'])}. One gate does "
        "the work of two.",
        "h": f"Memory {signed(v['h'])}: {signed(v['kept'])} kept and {signed(v['written'])} written. It "
        f"{change(v['h_before'], v['h'])}.",
        "n": f"The candidate is {signed(v['n'])}: tanh of {signed(v['token_n'])} from the input, "
        f"{signed(v['reset_past_n'])} from h′ after the reset and {signed(v['bias_x'])} bias.",
    }


def _elman(v: Mapping[str, float], first: bool) -> dict[str, str]:
    return {
        "token": f"The input contributes {signed(v['token'])}, a weighted sum of its numbers.",
        "past": "The past contributes nothing at the first step."
        if first
        else f"The past contributes {signed(v['past'])}, a weighted sum of all units; this unit was "
        f"{signed(v['h_before'])}.",
        "h": f"The nonlinearity φ of their sum with the bias {signed(v['bias'])} is {signed(v['h'])}, the new state. "
        "No gate decides what stays.",
    }


CELLS: Mapping[str, Callable[[Mapping[str, float], bool], dict[str, str]]] = {
    "lstm": _lstm,
    "gru": _gru,
    "elman": _elman,
}
"""By cell, a function of the numbers of one unit at one step, and of whether it is the first step: a sentence for each
gate or state, in the order in which they act."""

MEANINGS = {
    ("lstm", "f"): "The forget gate decides how much of the memory c′ stays.",
    ("lstm", "i"): "The input gate decides how much of the candidate is written into the memory.",
    ("lstm", "g"): "The candidate is the value that can be written into the memory.",
    ("lstm", "o"): "The output gate decides how much of the memory is output as h.",
    ("gru", "z"): "The update gate decides how much of the state stays; the rest is replaced by the candidate.",
    ("gru", "r"): "The reset gate decides how much of the past the candidate is computed from.",
    ("gru", "n"): "The candidate is the value that replaces a part of the state.",
}


def of_gate(cell: str, gate: str) -> str:
    """Return the sentence on the meaning of a gate."""
    return MEANINGS[cell, gate]


def block(added: Sequence[tuple[str, float, float]], read: Sequence[tuple[str, str, float]]) -> list[str]:
    """Return the sentences on a block of a Transformer.

    Args:
        added: name of each sublayer, the length of the vector that it adds, and the length of the sum.
        read: name of each attention, the token with its largest weight, and that weight.
    """
    lead = "A number beside a double wire is the length of its vector."
    adds = "; ".join(f"{name} adds {number(length)} and makes it {number(after)}" for name, length, after in added)
    most = "; ".join(f"{name} reads most from “{token}” ({number(weight)})" for name, token, weight in read)
    return [lead, f"{most[0].upper()}{most[1:]}.", f"{adds[0].upper()}{adds[1:]}."]


def percent(part: float) -> str:
    """Return a fraction in percent, with one significant digit below 10."""
    if part < 1e-4:
        return "< 0.01 %" if part else "0 %"
    return f"{100 * part:.1g} %" if part < 0.095 else f"{100 * part:.0f} %"


def way_back(model: str, first: str, part: float) -> str:
    """Return the sentence on a gradient that was passed back to the first step.

    Args:
        model: its name.
        first: the first token.
        part: the norm of the gradient there, relative to the last step.
    """
    return f"Model {model}: at the first token, “{first}”, the gradient is {percent(part)} of that at the last one."


def beam(count: int, words: Sequence[str], log_prob: float) -> str:
    """Return the sentence on a beam search. count: of its answers. words: of the best one, whose ln p is log_prob."""
    return f"Answers found: {count}; the most probable one, {' '.join(words)}, has probability {number(exp(log_prob))}."
