"""Classification: probabilities in the order of the inputs, for any batch size."""

import numpy as np
import torch

from small import MODELS, pairs, trained
from unrolled.data.encoding.batches import Sequences
from unrolled.decoding import classification as module
from unrolled.decoding.classification import Classification, ImageClassification, classify, probabilities


def test_the_order_and_the_batches_change_nothing(monkeypatch) -> None:
    for name in MODELS:
        run = trained(name)
        ids = run.tokenizer.encode([text for text, _ in pairs(40, seed=2)])
        together = probabilities(run.model, Sequences(ids))
        assert together.shape == (40, 2)
        assert together.dtype == np.float64
        np.testing.assert_allclose(together.sum(axis=1), 1, atol=1e-12)
        backwards = probabilities(run.model, Sequences(ids[::-1]))[::-1]
        with monkeypatch.context() as small:
            small.setattr(module, "BATCH_TOKENS", 1)  # one sequence a batch
            alone = probabilities(run.model, Sequences(ids))
        np.testing.assert_allclose(backwards, together, atol=1e-6)
        np.testing.assert_allclose(alone, together, atol=1e-6)
        single = np.concatenate([probabilities(run.model, Sequences([each])) for each in ids])
        assert (single == alone).all(), f"{name}: a call with one sequence is a batch of one"


def test_it_is_the_softmax_of_the_logits_and_keeps_no_gradient() -> None:
    model = trained().model
    ids, lengths = torch.tensor([[6, 7, 8]]), torch.tensor([3])
    with torch.no_grad():
        logits, _ = model(ids, None, lengths)
    found = probabilities(model, Sequences(ids.tolist()))
    np.testing.assert_allclose(found, logits.double().softmax(1).numpy(), atol=1e-12)
    assert all(p.grad is None for p in model.parameters())
    assert probabilities(model, Sequences([])).shape == (0, 2)


def test_answers() -> None:
    first, second = classify(["a", "b"], ("no", "yes"), np.array([[0.25, 0.75], [0.5, 0.5]]), Classification)
    assert first.to_dict() == {
        "text": "a", "label": "yes", "probability": 0.75, "probabilities": {"no": 0.25, "yes": 0.75},
    }  # fmt: skip
    assert second.label == "no", "of equals the first"
    assert first.shown() == "yes\t0.750\ta"
    (image,) = classify(["a.png"], ("no", "yes"), np.array([[0.25, 0.75]]), ImageClassification)
    assert image.to_dict() == {
        "image": "a.png", "label": "yes", "probability": 0.75, "probabilities": {"no": 0.25, "yes": 0.75},
    }  # fmt: skip
    assert image.shown() == "yes\t0.750\ta.png"


def test_the_most_probable_classes() -> None:
    """Sorted, cut at top; of equals the first class, as in the answer; a line each in plain text."""
    values, labels = np.array([[0.2, 0.4, 0.4]]), ("a", "b", "c")
    (every,), (two,), (many,) = (classify(["x"], labels, values, Classification, top) for top in (None, 2, 99))
    assert [*every.probabilities.items()] == [("a", 0.2), ("b", 0.4), ("c", 0.4)]
    assert [*two.probabilities.items()] == [("b", 0.4), ("c", 0.4)]
    assert [*many.probabilities] == ["b", "c", "a"]
    assert every.shown(2) == two.shown(2) == "b\t0.400\tx\nc\t0.400\tx"
    assert two.shown() == "b\t0.400\tx"
    assert len(many.shown(99).splitlines()) == 3
