import html
import json
import re
import zlib
from base64 import b64decode

import numpy as np
import pytest
import torch

import small
from unrolled.errors import ConfigError
from unrolled.inside import Trace
from unrolled.inside.trace import Header
from unrolled.pictures import available, page
from unrolled.pictures import page as page_function
from unrolled.pictures.page import STRONGEST


def stored(text):
    """Every matrix of the page as its script reads it: attributes and numbers."""
    values = json.loads(re.search(r'id="values">(.*?)</script>', text, re.S)[1])
    for image in re.findall(r"<image [^>]*data-values[^>]*>", text):
        own = {key: html.unescape(value) for key, value in re.findall(r'data-([a-z]+)="([^"]*)"', image)}
        one = values[int(own["values"])]
        planes = np.frombuffer(zlib.decompress(b64decode(one["data"])), np.uint8).reshape(one["bytes"], -1)
        numbers = np.ascontiguousarray(planes.T).view({2: "<f2", 4: "<f4"}[one["bytes"]])
        yield own, numbers.reshape(-1).astype(np.float32), one["bytes"]


def listed(text):
    ends = [[int(end) for end in part.split("-")] for part in text.split(",")]
    return [i for part in ends for i in range(part[0], part[-1] + 1)]


def test_every_number_under_the_pointer_is_the_traces():
    trace = small.translation_run("attention").explain(("abcd", "DCBA"))
    checked = set()
    for own, numbers, size in stored(page([trace])):
        lead = tuple(int(i) for i in own["lead"].split(",") if i)
        tensor = trace[own["tensor"]][lead].numpy()
        rows, columns = listed(own["rows"]), listed(own["columns"])
        expected = tensor[np.ix_(rows, columns)] if own["order"] == "row,column" else tensor[np.ix_(columns, rows)].T
        close = {"rtol": 1e-3, "atol": 1e-7} if size == 2 else {"rtol": 0, "atol": 0}
        np.testing.assert_allclose(numbers, expected.reshape(-1), **close)
        checked.add(own["tensor"])
    assert {"attention.weights", "decoder.gru.l0.z", "source.gradient_norm", "encoder.gru.l0.reverse.h"} <= checked


def test_it_holds_every_picture_and_needs_no_network():
    traces = [small.trained("lstm").explain("a fine film"), small.trained("gru").explain("a fine film")]
    text = page(traces)
    for name in available(traces):
        assert f'<section id="{name}">' in text
        assert f'href="#{name}"' in text
    assert text == page(traces)
    outside = [url for url in re.findall(r"""https?://[^"'\s<>)]+""", text) if url != "http://www.w3.org/2000/svg"]
    assert not outside
    assert "default-src 'none'" in text
    assert re.search(r'<output id="value" aria-live="polite">', text)
    assert "$" not in re.sub(r"<script>.*?</script>", "", text, flags=re.S), "a placeholder was left"


def test_every_picture_is_wide_and_narrow_and_one_of_them_is_shown():
    text = page([small.trained("lstm").explain("a fine film")])
    for section in re.findall(r"<section.*?</section>", text, re.S):
        wide, narrow = re.fullmatch(
            r'.*<div class="wide">(.*)</div>.*<div class="narrow">(.*)</div>.*', section, re.S
        ).groups()
        assert wide.count("<svg ") == narrow.count("<svg ") > 0
        assert all(float(width) <= 360 for width in re.findall(r'<svg [^>]* width="([\d.]+)"', narrow))
    style = re.search(r"<style>(.*?)</style>", text, re.S)[1]
    before, narrow_screen = style.split("@media screen and (max-width: 700px)")
    assert ".narrow { display: none; }" in before
    assert ".wide { display: none; }" in narrow_screen


def wide(T, H, layers):
    generator = np.random.default_rng(0)
    tensors = {}
    for layer in range(layers):
        for name in "ifgoch":
            values = (
                1 / (1 + np.exp(-generator.normal(size=(T, H)))) if name in "ifo" else generator.normal(size=(T, H))
            )
            tensors[f"lstm.l{layer}.{name}"] = torch.from_numpy(values.astype(np.float32))
        tensors |= {f"lstm.l{layer}.{name}": torch.zeros(H) for name in ("h0", "c0")}
        tensors |= {f"lstm.l{layer}.{name}": torch.zeros(T, 4, H) for name in ("from_x", "from_h")}
        tensors[f"lstm.l{layer}.bias"] = torch.zeros(4, H)
    tensors |= {"steps": torch.tensor([T - 1]), "log_prob": torch.zeros(1)}
    return Trace(Header(run="wide", model_name="lstm", tokens=("word",) * T, answers=("pos",)), tensors)


def test_three_megabytes_hold_450000_numbers():
    text = page([wide(200, 185, 2)])  # 444,000 of the gates and states alone
    assert "units of each layer that vary most" not in text
    assert len(text.encode()) <= 3_000_000


def test_of_more_the_strongest_units_are_drawn_and_the_page_says_so():
    text = page([wide(200, 320, 2)])
    assert f"Only the {STRONGEST} units of each layer that vary most are drawn" in text
    rows = {len(listed(own["rows"])) for own, _, _ in stored(text) if own["tensor"].endswith(".f")}
    assert rows == {STRONGEST}
    assert f"Of 320 units, the {STRONGEST}" in text


def test_many_pairs_of_tokens_make_it_large_and_it_says_so():
    tensors = {f"transformer.l0.{name}": torch.rand(3, 500, 2) for name in ("query", "key", "value", "context")}
    tensors |= {f"transformer.l0.{name}": torch.full((3, 500, 500), 0.002) for name in ("weights", "score")}
    tensors["log_prob"] = torch.zeros(1)
    text = page(
        [Trace(Header(run="wide", model_name="transformer", tokens=("word",) * 500, answers=("pos",)), tensors)]
    )
    assert "it holds 750,004 numbers, most of them in matrices of all pairs of tokens" in text
    assert "units of each layer that vary most" not in text


def test_weights_as_they_were_in_training_make_the_gradient_alone():
    trace = small.trained("elman").explain("a fine film", gradient=True)
    early = Trace(Header(**{**vars(trace.about), "update": 1}), trace)
    one, both = page([trace]), page([early, trace])
    count = lambda text, name: re.search(rf'<section id="{name}">.*?</section>', text, re.S)[0].count("<path")  # noqa: E731
    assert count(one, "network") == count(both, "network")
    assert count(one, "gradient") < count(both, "gradient")


def test_nothing_to_draw_is_refused():
    with pytest.raises(ConfigError, match="got none"):
        page_function([])
    with pytest.raises(ConfigError, match="got traces without"):
        page_function([Trace(Header(), {})])


def test_strange_names_are_escaped():
    trace = small.trained("lstm").explain("a fine film")
    header = Header(**{**vars(trace.about), "run": "</script><b>\x1b"})
    text = page([Trace(header, trace)])
    assert "</script><b>" not in text
    assert "\x1b" not in text


def test_pictures_keep_their_size_on_a_narrow_screen():
    """Scaled to a telephone's 360 pixels, text of 11 pixels would have 4: the section scrolls instead."""
    style = page([small.trained().explain("the film")]).split("<style>")[1].split("</style>")[0]
    narrow = style.split("max-width: 700px")[1]
    assert "overflow-x: auto" in narrow
    assert "svg { max-width: none; }" in narrow
