import numpy as np
import pytest

import drawn
from unrolled import svg
from unrolled.pictures.chart import Axis, Series, chart


@pytest.mark.parametrize(
    ("axis", "ticks"),
    [
        (Axis("", 0, 1), [0, 0.2, 0.4, 0.6, 0.8, 1]),
        (Axis("", -3, 3), [-2, 0, 2]),
        (Axis("", 0, 199), [0, 50, 100, 150]),
        (Axis("", 1e-4, 10, log=True), [1e-4, 1e-3, 1e-2, 0.1, 1, 10]),
        (Axis("", 5, 5), [5]),
        (Axis("", 1, 2, whole=True), [1, 2]),
        (Axis("", 1, 8, whole=True), [2, 4, 6, 8]),
        (Axis("", 2e-4, 8e-4, log=True), [2e-4, 4e-4, 6e-4, 8e-4]),
        (Axis("", 1.57e-3, 3.77e-3, log=True), [2e-3, 2.5e-3, 3e-3, 3.5e-3]),
    ],
)
def test_ticks_are_round(axis, ticks):
    assert axis.ticks() == pytest.approx(ticks)


def test_curves_differ_without_colour_and_stay_inside():
    x = np.arange(5)
    series = [Series(f"curve {i}", x, x * 0.1 * i, f"c{i}[{{}}]") for i in range(8)]
    drawing = chart(series, Axis("steps", 0, 4), Axis("fraction", 0, 1), (360, 240))
    page = svg.document(*drawing[:2], [drawing.body])
    for each in [*drawn.texts(page), *drawn.shapes(page)]:
        assert -0.5 <= each.left <= each.right <= 360.5, each
        assert -0.5 <= each.top <= each.bottom <= 240.5, each
    assert drawing.body.count("stroke-dasharray") >= 2 * 6, "six of eight curves and their keys are dashed"
    assert "c3[4] = 1.20" in drawn.titles(page)


def test_what_lies_below_a_log_axis_stands_on_its_floor():
    axis = Axis("", 1e-3, 1, log=True)
    assert axis.fraction(np.array([0, 1e-9, 1e-3, 1])).tolist() == [0, 0, 0, 1]


def test_an_interval_reaches_from_its_low_to_its_high_end():
    """A point in the middle of both axes; the plot reaches from x = 56 to 388 and from y = 22 to 166."""
    low, high = np.array([0.25]), np.array([0.875])
    one = Series("accuracy", np.array([5.0]), np.array([0.5]), low=low, high=high)
    body = chart([one], Axis("steps", 0, 10), Axis("", 0, 1), (400, 200)).body
    assert "M222.0 130.0L222.0 40.0" in body
    assert 'cx="222.0" cy="94.0"' in body
