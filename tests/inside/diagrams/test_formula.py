import pytest
import torch

from unrolled.inside.diagrams.formula import Value, read

torch.manual_seed(0)
T, S, K = 3, 4, 2
VALUES = {
    "a": Value(torch.randn(T, K), "TK"),
    "b": Value(torch.randn(S, K), "SK"),
    "c_before": Value(torch.randn(K), "K"),
}
a, b, c = (value.tensor for value in VALUES.values())


@pytest.mark.parametrize(
    ("text", "axes", "expected"),
    [
        ("a", "TK", a),
        ("a + a · c_before", "TK", a + a * c),
        ("(a + a) · c_before", "TK", (a + a) * c),
        ("a − a − a", "TK", -a),
        ("(1 − σ(a)) · tanh(a)", "TK", (1 - a.sigmoid()) * a.tanh()),
        ("relu(a)", "TK", a.relu()),
        ("σ a · a", "TK", a.sigmoid() * a),
        ("softmax_T(a)", "TK", a.softmax(0)),
        ("Σ_K(a · b)", "TS", a @ b.T),
        ("Σ_K (a · b / √K)", "TS", a @ b.T / 2**0.5),
        ("Σ_S(softmax_S(Σ_K(a · b)) · b)", "TK", (a @ b.T).softmax(1) @ b),
        ("last_S(b)", "K", b[-1]),
        ("c_before · b", "KS", (c * b).T),
    ],
)
def test_it_computes_what_it_says(text, axes, expected):
    found = read(text)(VALUES)
    assert found.axes == axes
    torch.testing.assert_close(found.tensor, expected)


def test_its_names_are_those_it_reads():
    assert list(read("c_before · (a + σ(b)) + a").names()) == ["c_before", "a", "b", "a"]


@pytest.mark.parametrize(
    "text", ["", "a +", "(a", "a b", "2 · a", "a * b", "__import__(a)", "σ", "a.b", "softmax(a)", "A"]
)
def test_what_is_no_formula_is_refused(text):
    with pytest.raises(ValueError, match="is not a formula"):
        read(text)
