"""The report on images."""

import json

import numpy as np

from small import pictures
from unrolled import api


def test_what_it_says_of_images() -> None:
    pixels, labels = pictures(40)
    pixels[1], labels[1] = pixels[0], "below" if labels[0] == "above" else "above"
    report = api.inspect((pixels, labels), model="lstm", by="column", test_fraction=0.2)
    assert (report.shape, report.dtype, report.by, report.steps) == ((6, 5, 1), "uint8", "column", (5, 6))
    assert sum(split.images for split in report.splits.values()) == 40
    assert sum(split.labels["above"] for split in report.splits.values()) == labels.count("above")
    assert sum(report.duplicates.values()) == 1
    assert report.majority in ("above", "below")
    train = report.splits["train"]
    assert train.majority_rate == train.labels[report.majority] / train.images
    issue = next(issue for issue in report.issues if issue.kind == "conflicting labels")
    assert [example.where for example in issue.examples] == [
        "python objects, image 0",
        "python objects, image 1",
    ]
    assert "one image in 2 rows has more than one label" in report.text()
    assert "images of each label" in report.picture()
    text = report.text()
    assert "python objects: 40 images read = 40 used + 0 skipped" in text
    assert "images of 5 × 6 pixels, 1 channel, uint8" in text
    assert "read by column: 5 steps of 6 numbers" in text
    assert json.loads(json.dumps(report.to_dict()))["steps"] == [5, 6]


def test_the_first_image_is_drawn() -> None:
    image = np.zeros((4, 60), np.uint8)
    image[:, 30:] = 255
    image = np.vstack([np.zeros((3, 60), np.uint8), image])
    images = np.stack([image] * 40)
    images[:, 4, 59] = np.arange(40)  # no two are equal, and this pixel is not drawn: every third one is
    label, lines = api.inspect((images, ["a", "b"] * 20), by="row").first
    assert lines == (" " * 20 + "@" * 20,) * 2
    assert label in ("a", "b")


def test_floats_are_told_in_their_own_unit() -> None:
    pixels, labels = pictures(20)
    report = api.inspect(((pixels / 255).astype(np.float32), labels))
    assert report.dtype == "float32"
    assert "mean and standard deviation of training: 0." in report.text()
