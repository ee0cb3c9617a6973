"""The page's file: fresh, whole, small, and deaf to hostile texts."""

import json
import re
from importlib.resources import files
from pathlib import Path

import pytest

from unrolled import palette
from unrolled.errors import ConfigError
from unrolled.page import networks, page
from unrolled.page.document import BUILT, sources_sum

WEB = Path(__file__).parents[2] / "web"
MOST_BYTES, MOST_NETWORKS = 3_000_000, 1_500_000
HOSTILE = (
    "</script><script>alert(1)</script>", "<!--<script>",
    "<img src=x onerror=alert(1)>", '"><svg onload=alert(1)>', "]]>",
    "${alert(1)}", "javascript:alert(1)", "\u2028alert(1)", "&lt;script&gt;",
    "{{constructor.constructor('alert(1)')()}}", "\x00</title>", "<SCRIPT/x>",
)  # fmt: skip


def data(html: str) -> dict[str, object]:
    """Return the content of the data element."""
    found = re.findall(r'<script type="application/json" id="unrolled-data">(.*?)</script>', html, flags=re.S)
    assert len(found) == 1
    content: dict[str, object] = json.loads(found[0])
    return content


def test_the_built_copy_is_fresh() -> None:
    built = files("unrolled.page").joinpath(BUILT, "sources.sha256").read_text(encoding="utf-8").strip()
    assert built == sources_sum(WEB), "web/ has changed since the page was built: make page"


def test_one_file_with_every_architecture() -> None:
    html = page(networks())
    assert [each["model"] for each in data(html)["networks"]] == [
        "feedforward",
        "elman",
        "lstm",
        "gru",
        "encoder_decoder",
        "attention",
        "transformer",
        "gpt",
    ]
    assert len(html.encode()) <= MOST_BYTES
    assert len(json.dumps(networks())) <= MOST_NETWORKS
    assert not re.search(r'(?:src|href)="(?!data:|#)', html.partition("<script type=")[0]), "no other file is needed"


def test_the_policy_allows_its_own_script_alone() -> None:
    html = page(networks())
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', html)
    assert policy is not None
    assert "default-src 'none'" in policy[1]
    assert re.search(r"script-src 'sha256-[A-Za-z0-9+/=]{44}'", policy[1])
    assert "unsafe-eval" not in policy[1]


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_texts_stay_data(text: str) -> None:
    packed = dict(networks()[0])
    packed |= {"name": text, "labels": [text, "b"], "data": text}
    html = page([packed], examples=[(text, text)], words=[(text, None)], prompts=[text], about=text)
    whole = page(
        [packed | {"name": "a", "labels": ["a", "b"], "data": "a"}],
        examples=[("a", "a")],
        words=[("a", None)],
        prompts=["a"],
        about="a",
    )
    assert data(html)["examples"] == [{"text": text, "answer": text}]
    for mark in ("<script", "</script", "<!--", "<svg", "<img"):
        assert html.lower().count(mark) == whole.lower().count(mark)


def test_the_colours_are_those_of_the_pictures() -> None:
    style = (WEB / "src/style/base.css").read_text(encoding="utf-8").lower()
    light, dark = style.split("prefers-color-scheme: dark")[:2]
    names = ("PAPER", "INK", "SOFT", "LINE", "WIRE", "MEMORY", "BELT", "KEEP", "WRITE", "SHOW", "RESET")
    for name in (*names, "ABOVE", "BELOW"):
        colour, variable = getattr(palette, name), {"ABOVE": "plus", "BELOW": "minus"}.get(name, name.lower())
        assert f"--{variable}: {colour};" in light, name
        assert f"--{variable}: {palette.DARK[colour]}" in dark, name


def test_a_page_needs_different_networks() -> None:
    with pytest.raises(ConfigError, match="got none"):
        page([])
    with pytest.raises(ConfigError, match="different models"):
        page([networks()[0], networks()[0]])
