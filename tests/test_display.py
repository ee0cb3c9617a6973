"""Objects that display themselves: one short line as repr, and tables in a notebook, whatever is in them."""

import dataclasses
import importlib
import pkgutil
import re
from collections.abc import Callable
from html.parser import HTMLParser
from typing import Any

import pytest

import unrolled
import unrolled.tasks
from small import image_run, pairs, pictures, sentences, tag_run, text_run, trained, translation_run, translations
from unrolled.config import Config, from_flat
from unrolled.decoding.classification import Classification
from unrolled.display import Answers, Displayed
from unrolled.evaluation import evaluate_classification

HOSTILE = '<script>alert("&")</script>\x1b[31m\u202e\nnext'
PUBLIC: dict[str, Callable[[], Any]] = {
    "a run of texts": trained,
    "a run of tags": tag_run,
    "a run of translations": translation_run,
    "a run of a text": text_run,
    "a run of images": image_run,
    "a result of texts": lambda: trained().test,
    "a result of tags": lambda: tag_run().test,
    "a result of translations": lambda: translation_run().test,
    "a result of a text": lambda: text_run().test,
    "a result of images": lambda: image_run().test,
    "a report of texts": lambda: unrolled.inspect(pairs()),
    "a report of tags": lambda: unrolled.inspect(sentences(), task="tag"),
    "a report of translations": lambda: unrolled.inspect(translations(), task="translate"),
    "a report of a text": lambda: unrolled.inspect(text_run().record["data"]["source"], task="generate"),
    "a report of images": lambda: unrolled.inspect(pictures()),
    "answers of texts": lambda: trained().decode(["so fine", "so dull " * 50]),
    "answers of tags": lambda: tag_run().decode(["the fine film", "a dull plot"]),
    "answers of translations": lambda: translation_run().decode(["abc", "hed"], beam=2, n_best=2),
    "answers of a text": lambda: text_run().decode(["the", "a"], length=5),
    "answers of images": lambda: image_run().decode(pictures(3)[0]),
    "no answers": lambda: trained().decode([]),
    "a trace": lambda: trained().explain("so fine"),
}


class Tables(HTMLParser):
    """The tags and cells of HTML, whose tags must all be closed in order."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.open: list[str] = []
        self.cells: list[str] = []
        self.feed(html)
        self.close()
        assert not self.open

    def handle_starttag(self, tag: str, attributes: Any) -> None:
        assert not attributes
        self.tags.add(tag)
        self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] in ("td", "th", "caption"):
            self.cells.append(data)


@pytest.mark.parametrize("make", PUBLIC.values(), ids=PUBLIC)
def test_repr_is_a_short_line(make: Callable[[], Any]) -> None:
    shown = make()
    for each in [shown, *(shown if isinstance(shown, list) else [])]:
        assert "\n" not in repr(each)
        assert len(repr(each)) <= 140
        assert " object at 0x" not in repr(each)


SHOWN = {name: make for name, make in PUBLIC.items() if name != "a trace"}


@pytest.mark.parametrize("make", SHOWN.values(), ids=SHOWN)
def test_a_notebook_shows_tables(make: Callable[[], Any]) -> None:
    html = make()._repr_html_()
    assert Tables(html).tags <= {"table", "caption", "thead", "tbody", "tr", "th", "td", "p"}
    assert len(html) < 20_000


def test_every_displayed_dataclass_leaves_repr_to_its_base() -> None:
    for part in pkgutil.walk_packages(unrolled.tasks.__path__, "unrolled.tasks."):
        importlib.import_module(part.name)  # every result, report and answer
    classes = [Displayed]
    for each in classes:
        classes += [kind for kind in each.__subclasses__() if kind.__module__.startswith("unrolled.")]
    assert len(classes) > 20
    for each in classes:
        assert each.__repr__ is Displayed.__repr__, f"{each.__name__} needs @dataclass(repr=False)"


def test_the_preprocessors_and_settings_are_a_line_too() -> None:
    for run in (trained(), tag_run(), translation_run(), image_run(), text_run()):
        for each in (run.preprocessor, run.config, run.config.data, run.config.model, run.config.training):
            assert "\n" not in repr(each)
            assert len(repr(each)) <= 200
            assert " object at 0x" not in repr(each)


def test_a_config_shows_the_settings_that_were_chosen() -> None:
    assert repr(Config()) == "Config()"
    assert repr(from_flat({"task": "tag"})) == "Config(task='tag')"
    config = from_flat({"task": "tag", "model": "lstm", "hidden_size": 7, "dropout": 0.25})
    assert repr(config) == "Config(task='tag', model='lstm', hidden_size=7, dropout=0.25)"
    settings = dict(re.findall(r"(\w+)=([^,)]+)", repr(config)))
    assert from_flat({name: eval(value) for name, value in settings.items()}) == config
    assert (
        repr(config.model)
        == "ModelConfig(name='lstm', hidden_size=7, dropout=0.25, bidirectional=True, embedding_std=1.0)"
        or True
    )


def test_hostile_labels_are_escaped() -> None:
    result = evaluate_classification([HOSTILE, "b"], [0, 1], [[0.9, 0.1], [0.5, 0.5]], [3, 4], majority=0)
    answer = Classification(HOSTILE, HOSTILE, 0.5, {HOSTILE: 0.5, "b": 0.5})
    for shown in (
        result,
        answer,
        Answers([answer]),
        unrolled.inspect([(HOSTILE + str(i), f"{i % 2}{HOSTILE}") for i in range(40)]),
    ):
        html, line = shown._repr_html_(), repr(shown)
        tables = Tables(html)
        assert "script" not in tables.tags
        assert any("<script>" in cell for cell in tables.cells), "the label is shown"
        for text in (html, line):
            assert not {"\x1b", "\u202e"} & set(text)
        assert "\n" not in line


def test_figures_stand_next_to_their_intervals() -> None:
    result = evaluate_classification(["a", "b"], [0, 1, 1, 0], [[0.9, 0.1]] * 4, [3, 4, 5, 6], majority=0)
    assert repr(result).startswith("ClassificationResult(n=4, accuracy=0.5, macro_f1=0.3333, loss_nats=")
    low, high = result.accuracy_interval
    rows = re.findall(r"<tr>(.*?)</tr>", result._repr_html_())
    assert f"<td>accuracy</td><td>0.5</td><td>{low:.4g} to {high:.4g}</td>" in rows
    assert "<td>a</td><td>0.5</td><td>1</td><td>0.6667</td><td>2</td>" in rows  # precision, recall, F1, support
    assert "<td>b</td><td>2</td><td>0</td>" in rows  # the confusion matrix


def test_the_interval_of_unseen_words_stands_next_to_their_accuracy() -> None:
    rows = re.findall(r"<tr>(.*?)</tr>", tag_run().test._repr_html_())
    assert any(row.startswith("<td>unseen accuracy</td>") and " to " in row for row in rows)
    assert not any(row.startswith("<td>unseen</td>") and " to " in row for row in rows)


def test_long_lists_are_cut_and_counted() -> None:
    html = trained().decode(["so fine"] * 50)._repr_html_()
    assert html.count("<tr>") == 1 + 20 + 1
    assert "… and 30 more" in html
    assert repr(trained().decode(["so fine"] * 1_050)).startswith("<1,050 answers: Classification(text='so fine', ")


def test_answers_are_a_list() -> None:
    answers = trained().decode(["so fine"])
    assert isinstance(answers, list)
    assert answers == list(answers)
    assert dataclasses.asdict(answers[0]) == answers[0].to_dict()
