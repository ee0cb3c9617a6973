import re

import numpy as np
import pytest
import torch

from unrolled.inside import Trace
from unrolled.inside.trace import Header
from unrolled.pictures.matrix import View, fingerprint, label_interval, legend, number
from unrolled.svg import Scale


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.934, "0.93"), (-1.2, "−1.20"), (0, "0"), (12.34, "12.3"), (123.4, "123"), (3e-5, "3e−5"), (0.0123, "0.012"),
     (float("-inf"), "−∞"), (float("nan"), "nan"), (2e7, "2e7"), (4.0, "4")],
)  # fmt: skip
def test_a_number_in_three_figures(value, text):
    assert number(value) == text


def test_what_is_shown_is_what_is_there():
    values = torch.arange(24.0).view(2, 3, 4)
    trace = Trace(Header(), {"transformer.l0.weights": values, "lstm.l0.f": values[0]})
    some = View(trace, "transformer.l0.weights", [0, 2], [1, 2, 3], lead=(1,))
    assert some.values().tolist() == [[13, 14, 15], [21, 22, 23]]
    assert some.data()["rows"] == "0,2"
    assert some.data()["columns"] == "1-3"
    turned = View(trace, "lstm.l0.f", [3, 0], [0, 1], turned=True)
    assert turned.values().tolist() == [[3, 7], [0, 4]]
    assert turned.data()["order"] == "column,row"


def test_traces_are_told_apart():
    one, other = (Trace(Header(run="r"), {"log_prob": torch.tensor([value])}) for value in (0.5, 0.6))
    assert fingerprint(one) != fingerprint(other)
    assert fingerprint(one) == fingerprint(Trace(Header(run="r"), {"log_prob": torch.tensor([0.5])}))
    assert fingerprint(one) != fingerprint(Trace(Header(run="s"), {"log_prob": torch.tensor([0.5])}))


def test_names_are_left_out_evenly():
    assert [label_interval(200, 3.8, needs) for needs in (3, 14, 36)] == [1, 5, 10]
    assert label_interval(1, 0.1, 36) >= 1
    assert np.isfinite(label_interval(10**5, 0.01, 36))


@pytest.mark.parametrize(
    ("scale", "marks"),
    [(Scale(1e-4, 1, log=True), ["1e−4", "0.010", "1"]), (Scale(-2, 4), ["−2", "1", "4"])],
)
def test_the_middle_of_a_legend_has_the_middle_colour(scale, marks):
    assert re.findall(">([^<>]+)</text>", legend(scale, "nats").body) == [*marks, "nats"]
    colours = scale.indices(np.array([scale.low, float(marks[1]), scale.high])).tolist()
    assert colours == [0, pytest.approx(127.5, abs=1), 255]
