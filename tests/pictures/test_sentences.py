"""Sentences made from numbers."""

import pytest

from unrolled.pictures.sentences import CELLS, change, fraction, number, signed

LSTM = {"f": 0.75, "i": 0.001, "g": -0.5, "o": 0.5, "c_before": -0.1, "kept": -0.075, "written": 0.0, "c": -0.08}
LSTM |= {"tanh_c": -0.08, "h": -0.04, "token_g": -0.6, "past_g": 0.1, "bias_g": -0.05}
GRU = {"z": 1.0, "r": 0.25, "n": 0.4, "h_before": 0.3, "kept": 0.3, "one_minus_z": 0.0, "written": 0.0, "h": 0.3}
GRU |= {"sum_past_n": 0.8, "reset_past_n": 0.2, "token_n": 0.2, "bias_x": 0.0}
ELMAN = {"token": 0.5, "past": -0.2, "bias": 0.1, "h": 0.38, "h_before": 0.9}


def test_numbers_have_two_decimals_and_a_real_minus() -> None:
    assert [number(value) for value in (0.754, -1.2, -0.001, -10.0)] == ["0.75", "−1.20", "0.00", "−10.00"]
    assert [signed(value) for value in (0.754, -1.2, -0.001, 0.0)] == ["+0.75", "−1.20", "0.00", "0.00"]


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (0, "nothing of it stays"),
        (0.01, "almost nothing of it stays"),
        (0.25, "a quarter of it stays"),
        (0.75, "three quarters of it stay"),
        (0.99, "nearly all of it stays"),
        (1, "all of it stays"),
    ],
)
def test_fractions_are_words_with_their_verb(value: float, said: str) -> None:
    assert fraction(value, "it", one="stays", many="stay") == said


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [(0.5, 0.52, "hardly changes"), (0, 1, "is filled"), (1, 0, "is emptied"), (1, -1, "changes its sign"),
     (0.5, 1, "grows"), (-1, -0.5, "shrinks")],
)  # fmt: skip
def test_a_change_is_a_predicate(before: float, after: float, said: str) -> None:
    assert change(before, after) == said


def test_an_lstm() -> None:
    said = CELLS["lstm"](LSTM, False)
    assert said["f"] == "The forget gate is 0.75: three quarters of the memory stay, −0.10 becomes −0.07."
    assert said["i"] == "The input gate is 0.00: nothing of the candidate −0.50 is written, 0.00."
    assert said["c"] == "Memory −0.08: −0.07 kept and 0.00 written. It hardly changes."
    assert said["o"] == "The output gate is 0.50: half of tanh(c) = −0.08 is output, h = −0.04."
    assert said["g"] == "The candidate is −0.50: tanh of −0.60 from the input, +0.10 from h′ and −0.05 bias."
    assert CELLS["lstm"](LSTM, True)["f"].endswith("there is no memory yet that it could keep.")


def test_a_gru() -> None:
    said = CELLS["gru"](GRU, False)
    assert said["r"] == (
        "The reset gate is 0.25: a quarter of the sum from h′ reaches the candidate, +0.80 becomes +0.20."
    )
    assert said["z"] == "The update gate is 1.00: all of the memory stays, +0.30 becomes +0.30."
    assert said["one_minus_z"].startswith("1 − z is 0.00: nothing of the candidate +0.40 is written, 0.00.")


def test_an_elman_cell_does_not_claim_tanh() -> None:
    said = " ".join(CELLS["elman"](ELMAN, False).values())
    assert "The nonlinearity φ of their sum with the bias +0.10 is +0.38, the new state." in said
    assert "tanh" not in said
    assert "nothing at the first step" in " ".join(CELLS["elman"](ELMAN, True).values())
