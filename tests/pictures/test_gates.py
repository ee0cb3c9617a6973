"""Gates over time: each in its colour, named in words, apart from the numbers with a sign."""

import drawn
import small
from unrolled.palette import KEEP, RESET, SHOW, WRITE
from unrolled.pictures import draw
from unrolled.pictures.gates import colours, named


def test_a_gate_has_the_colour_of_its_function() -> None:
    lstm, gru = colours("lstm"), colours("gru")
    assert (lstm["f"], lstm["i"], lstm["o"]) == (KEEP, WRITE, SHOW)
    assert (gru["z"], gru["r"]) == (KEEP, RESET)


def test_words_come_before_tensor_names() -> None:
    assert named("lstm.l0.f") == ("forget gate", "keeps at 1, forgets at 0")
    assert named("lstm.l0.c") == ("cell state", "after the step")


def test_gates_stand_apart_from_numbers_with_a_sign() -> None:
    texts = drawn.texts(draw("gates", [small.trained("lstm").explain("fine film")]))
    left = {text.content: text.left for text in texts}
    gates, signed = ("forget gate", "input gate", "output gate"), ("candidate", "cell state", "hidden state")
    assert len({left[name] for name in gates}) == len({left[name] for name in signed}) == 1
    assert left[gates[0]] < left[signed[0]]
