import json

import numpy as np
import pytest
import torch

from unrolled.data.encoding.pixels import ImageSteps, Pixels
from unrolled.errors import CheckpointError

N, H, W, C = 7, 4, 3, 2
IMAGES = np.random.default_rng(0).integers(0, 256, (N, H, W, C), dtype=np.uint8)


def test_it_learns_mean_and_deviation_of_each_channel() -> None:
    for images in (IMAGES, (IMAGES / 255).astype(np.float32)):
        pixels = Pixels.learn(images, by="row")
        np.testing.assert_allclose(pixels.mean, images.astype(np.float64).mean(axis=(0, 1, 2)), rtol=1e-12)
        np.testing.assert_allclose(pixels.std, images.astype(np.float64).std(axis=(0, 1, 2)), rtol=1e-12)
        x = pixels.steps(torch.from_numpy(images))
        assert x.dtype == torch.float32
        assert abs(float(x.mean())) < 1e-6
    assert pixels.dtype == "float32"
    assert Pixels.learn(np.full((2, 3, 3, 1), 7, np.uint8), by="row").std == (1.0,)


@pytest.mark.parametrize("by", ["image", "row", "column", "pixel"])
def test_a_step_holds_what_it_should(by: str) -> None:
    pixels = Pixels.learn(IMAGES, by=by)
    plain = (IMAGES - np.array(pixels.mean)) / np.array(pixels.std)  # (N, H, W, C)
    steps = {
        "image": [plain.reshape(N, -1)],
        "row": [plain[:, h].reshape(N, -1) for h in range(H)],
        "column": [plain[:, :, w].reshape(N, -1) for w in range(W)],
        "pixel": [plain[:, h, w] for h in range(H) for w in range(W)],
    }[by]
    x = pixels.steps(torch.from_numpy(IMAGES))
    assert x.shape == (N, pixels.num_steps, pixels.step_size)
    np.testing.assert_allclose(x, np.stack(steps, axis=1), atol=1e-5)


def test_a_permutation_moves_pixels_the_same_way_in_all_images() -> None:
    plain, moved = (Pixels.learn(IMAGES, by="pixel", permutation_seed=seed) for seed in (None, 3))
    assert moved.permutation is not None
    x, y = (pixels.steps(torch.from_numpy(IMAGES)) for pixels in (plain, moved))
    assert torch.equal(y, x[:, list(moved.permutation)])
    assert not torch.equal(x, y)
    assert moved == Pixels.learn(IMAGES, by="pixel", permutation_seed=3)
    assert moved != Pixels.learn(IMAGES, by="pixel", permutation_seed=4)


def test_it_comes_back_from_json() -> None:
    pixels = Pixels.learn(IMAGES, by="column", permutation_seed=1)
    assert Pixels.from_json(pixels.to_json()) == pixels


@pytest.mark.parametrize(
    "change",
    [
        {"std": (0.0, 1.0)},
        {"mean": (1.0,)},
        {"permutation": (0, 0)},
        {"by": "diagonal"},
        {"height": "4"},
        {"more": 1},
    ],
)
def test_what_is_damaged_is_refused(change: dict[str, object]) -> None:
    good = Pixels.learn(IMAGES, by="row").model_dump()
    with pytest.raises(CheckpointError, match="pixels.json was not written by unrolled"):
        Pixels.from_json(json.dumps(good | change))
    with pytest.raises(CheckpointError):
        Pixels.from_json("{")


def test_images_stay_bytes_and_only_a_batch_becomes_floats() -> None:
    steps = ImageSteps(IMAGES, Pixels.learn(IMAGES, by="row"))
    assert steps.images.dtype == torch.uint8
    assert steps.images.data_ptr() == torch.from_numpy(IMAGES).data_ptr()
    assert (len(steps), steps.lengths.tolist()) == (N, [H] * N)
    x, lengths = steps.pad(torch.tensor([4, 1]))
    assert lengths is None
    assert torch.equal(x, steps.pixels.steps(torch.from_numpy(IMAGES))[[4, 1]])
