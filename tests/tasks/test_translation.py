"""Translation runs: training, decoding, evaluation, and refusals."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from options import OF_TRAINING, WILD, identity, left_by, missing_or_unknown
from small import OWN, translation_run, translations, write_pairs
from unrolled import api, laws, lineage
from unrolled.config import from_flat
from unrolled.data.examples.pairs import load_pairs
from unrolled.decoding.teacher_forcing import score_targets
from unrolled.errors import CheckpointError, ConfigError, DataError
from unrolled.laws import Option
from unrolled.tasks import infer_settings
from unrolled.tasks.translation import TranslationRun

MODELS = [architecture.name for architecture in lineage.architectures_for("translate")]
SMALL: dict[str, Any] = {
    "task": "translate", "tokenizer": "character", "min_frequency": 1, "embedding_size": 6, "hidden_size": 5,
    "updates": 4, "evaluate_every": 2, "dropout": 0.0, "batch_tokens": 400,
}  # fmt: skip
LEARNS: dict[str, Any] = {
    "hidden_size": 48,
    "embedding_size": 24,
    "updates": 300,
    "learning_rate": 0.01,
    "label_smoothing": 0.0,
}


@pytest.mark.parametrize(
    ("name", "least"), [("encoder_decoder", 0.25), ("attention", 0.6), ("transformer", 0.25), ("gpt", 0.25)]
)
def test_it_learns_to_reverse_words(name: str, least: float) -> None:
    made = translations(600)
    own = {"num_layers": 2, "learning_rate": 0.004} if name in OWN else {}
    run = api.train(made, model=name, **SMALL | LEARNS | {"evaluate_every": 100} | own)
    assert isinstance(run, TranslationRun)
    assert run.test.exact_match > least
    assert run.test.loss_nats < 0.7
    answers = run.decode([source for source, _ in made[:20]], beam=4)
    assert sum(answer.text == target for answer, (_, target) in zip(answers, made, strict=False)) > 20 * least


@pytest.mark.parametrize("name", MODELS)
def test_saved_and_loaded_it_is_the_same(name: str, tmp_path: Path) -> None:
    run = translation_run(name)
    loaded = api.load(run.save(tmp_path / "run").path)
    assert isinstance(loaded, TranslationRun)
    assert (tmp_path / "run" / "tokenizers.json").is_file()
    made = translations(10, seed=1)
    assert loaded.evaluate(made) == run.evaluate(made)
    sources = [source for source, _ in made]
    assert loaded.decode(sources, beam=3, n_best=2) == run.decode(sources, beam=3, n_best=2)
    assert json.loads(json.dumps(run.record, allow_nan=False)) == run.record
    card = (tmp_path / "run" / "README.md").read_text()
    assert "pipeline_tag: translation" in card
    assert f"{run.test.exact_match:.1%} answered as a reference" in card
    with pytest.raises(AttributeError, match="has no single tokenizer"):
        _ = run.tokenizer


@pytest.mark.parametrize("name", MODELS)
def test_a_training_is_resumed_to_the_same_bits(name: str, tmp_path: Path) -> None:
    path = write_pairs(tmp_path / "a.csv")
    settings = SMALL | OWN.get(name, {}) | {"dropout": 0.2, "average": 0.9}
    whole = api.train(path, model=name, out=tmp_path / "whole", **settings)
    seen = []

    def stop(event: object) -> None:
        seen.append(event)
        if len(seen) == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        api.train(path, model=name, out=tmp_path / "cut", report=stop, checkpoint_every=1, **settings)
    resumed = api.resume(tmp_path / "cut")
    assert resumed.test == whole.test
    for name, value in whole.model.state_dict().items():
        assert torch.equal(value, resumed.model.state_dict()[name])


def test_the_default_length_is_that_of_the_longest_target_and_its_end() -> None:
    """Sources are longer than targets."""
    run = api.train([(f"ababababab{i:03d}", "x" * (1 + i % 4)) for i in range(80)], **SMALL)
    assert run.record["data"]["longest_target"] == 4
    assert run.default_length() == 5, "with <eos>"


def test_its_figures_are_those_of_its_answers(tmp_path: Path) -> None:
    made = translations(30, seed=2)
    made += [(made[0][0], "ZZ"), (made[1][0], "Y")]  # of two sources a second reference
    path = write_pairs(tmp_path / "a.csv", made)
    run = translation_run()
    result = run.evaluate(path)
    assert (result.n, result.references) == (30, 32)
    references = load_pairs(path, run.config.data).references()
    answers = [answer.text for answer in run.decode(list(references))]
    assert result.exact_match == np.mean([a in some for a, some in zip(answers, references.values(), strict=True)])
    used, pairs = run._encode(load_pairs(path, run.config.data), run.config.data)
    scored = score_targets(run.model, pairs)
    assert result.loss_nats == pytest.approx(scored.nats.sum() / scored.tokens.sum())
    assert len(used) == 32
    assert run.evaluate(path, beam=2) != result


def test_an_answer_does_not_depend_on_its_neighbours() -> None:
    run = translation_run()
    sources = [source for source, _ in translations(12, seed=3)]
    for options in ({}, {"beam": 3, "n_best": 3}, {"temperature": 1.0, "seed": 4}):
        together = run.decode(sources, **options)
        apart = [run.decode(source, **options)[0] for source in sources]
        assert [answer.text for answer in together] == [answer.text for answer in apart]
        assert [len(answer.targets) for answer in together] == [options.get("n_best", 1)] * 12
    assert run.decode(iter(sources)) == run.decode(sources, beam=1)
    assert run.decode([]) == []


def test_targets_take_a_prefix_lengths_and_a_temperature() -> None:
    run = translation_run()
    for beam in (1, 3):
        (answer,) = run.decode("abc", prefix="HA", beam=beam)
        assert answer.text.startswith("HA")
        (answer,) = run.decode("abc", length=3, min_length=3, beam=beam)
        assert len(answer.text) == 3
    (cut,) = run.decode("abc", length=1, min_length=1)
    assert (cut.targets[0].ended, cut.targets[0].tokens) == ("length", 1)
    assert "truncated at 1 tokens" in cut.shown()
    longest = max(len(target) for _, target in translations())
    assert run.record["data"]["longest_target"] == longest
    (answer,) = run.decode("abc", min_length=longest)
    assert len(answer.text) in (longest, longest + 1)
    assert run.decode("abc", temperature=2.0, seed=1) != run.decode("abc", temperature=2.0, seed=2)
    assert "".join(run.stream("abc")) == run.decode("abc")[0].text
    assert "".join(run.stream("abc", prefix="HA", length=4, min_length=4)).startswith("HA")


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ("", "source 0 is empty"),
        (["abc", " \n"], "source 1 is empty"),
        ([3], "source 0 is a int, not a string"),
        (["a \udcff"], "source 0 holds an unpaired surrogate"),
        ("?!", "source 0: all tokens of the source are unknown to the vocabulary"),
        (["abc", "abcdefgh" * 65], "source 1: the source has 520 tokens, more than the maximum of 512"),
    ],
)
def test_a_source_that_cannot_be_decoded_is_named(given: Any, problem: str) -> None:
    with pytest.raises(DataError, match=problem):
        translation_run().decode(given)
    if isinstance(given, str):
        with pytest.raises(DataError, match=problem):
            translation_run().stream(given)


def test_a_source_beyond_the_maximum_length_is_truncated_on_request_and_noted(caplog: pytest.LogCaptureFixture) -> None:
    run = translation_run()
    whole, said = run.decode("ab" * 256)[0], "truncated at 512 tokens, being longer: 1 source"
    assert whole.truncated == ""
    with caplog.at_level("INFO", "unrolled"):
        assert run.decode("ab" * 256, truncate=True) == [whole]
        assert not caplog.messages
        cut, other = run.decode(["ab" * 300, "abc"], truncate=True)
        assert (cut.targets, cut.truncated) == (
            whole.targets,
            "truncated after the first 512 of 600 tokens of the source",
        )
        assert other.truncated == ""
        assert "".join(run.stream("ab" * 300, truncate=True)) == whole.text
    assert caplog.messages == [said, said]


def test_sources_of_a_file_that_a_model_cannot_take_stop_or_are_counted(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    run, path = translation_run(), tmp_path / "a.csv"
    path.write_text("source\nabc\n???\n" + "ab" * 300 + "\nfgh\n")
    with pytest.raises(DataError, match=r"(?s)a\.csv, line 3: all tokens of the source are unknown.*--on-bad-row skip"):
        run.read_texts(path)
    with caplog.at_level("INFO", "unrolled"):
        assert run.read_texts(path, on_bad_row="skip") == ["abc", "fgh"]
    assert "4 pairs read = 2 used + 2 skipped (1 unknown source, 1 source too long)" in caplog.text
    assert "skipped: line 3: unknown source: ???" in caplog.text
    assert run.read_texts(path, on_bad_row="skip", truncate=True) == ["abc", "ab" * 300, "fgh"]
    path.write_text("source\n?\n!\n")
    with pytest.raises(DataError, match="none of its pairs can be used: 2 pairs read = 0 used"):
        run.read_texts(path, on_bad_row="skip")


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"beam": 0}, "beam must be from 1 to 1,024: got 0"),
        ({"beam": 10**10}, "beam must be from 1 to 1,024: got 10000000000"),
        ({"n_best": 2}, "n_best must be from 1 to the beam's size, 1: got 2"),
        ({"beam": 2, "length_penalty": -1.0}, "length_penalty must be at least 0"),
        ({"beam": 2, "temperature": 0.5}, "are for drawing: leave one out"),
        ({"beam": 2, "top_k": 3}, "are for drawing"),
        ({"beam": 2, "top_p": 1.0}, "are for drawing"),
        ({"beam": 2, "seed": 0}, "are for drawing"),
        ({"length_penalty": 0.6}, "length_penalty needs a beam of at least 2: remove it"),
        ({"top_k": 3}, "at temperature 0 nothing is drawn, so it does not use top_k: leave it out, or give a temper"),
        ({"top_p": 1.0, "seed": 0}, "so it does not use top_p, seed"),
        ({"temperature": -1.0}, "temperature must be"),
        ({"length": 0}, "length must be from 1 to 1,000,000,000: got 0"),
        ({"length": 10**20}, "length must be from 1 to 1,000,000,000: got 100000000000000000000"),
        ({"lenght": 2}, 'unknown option "lenght" .did you mean "length"'),
        ({"stop": "x"}, "this run's task is translate, which does not use stop: leave it out"),
        ({"min_length": 9, "length": 3}, "min_length must be from 0 to length, 3: got 9"),
        ({"min_length": -1}, "min_length must be from 0 to 1,000,000,000: got -1"),
        (
            {"min_length": 100},
            "min_length must be from 0 to length, 7: got 100; give a smaller one, or a larger length",
        ),
    ],
)
def test_an_option_out_of_range_is_named(options: dict[str, Any], problem: str) -> None:
    run = translation_run()
    with pytest.raises(ConfigError, match=problem):
        run.decode("abc", **options)
    if not options.keys() & {"beam", "length_penalty", "n_best"}:
        with pytest.raises(ConfigError, match=problem):
            run.stream("abc", **options)  # at once, before the first piece


def test_a_stream_and_an_evaluation_take_no_options_of_a_search_alone() -> None:
    run = translation_run()
    with pytest.raises(ConfigError, match="beam is an option of decode, and stream does not use it: leave it out"):
        run.stream("abc", beam=2)
    with pytest.raises(ConfigError, match="n_best is an option of decode, and evaluate does not use it"):
        run.evaluate(translations(3), n_best=2)
    with pytest.raises(ConfigError, match=r'unknown option "surce" \(did you mean "source"\?\)'):
        run.evaluate(translations(3), surce="x")


def test_a_penalty_without_a_beam_is_refused_of_an_evaluation() -> None:
    with pytest.raises(ConfigError, match="length_penalty needs a beam of at least 2"):
        translation_run().evaluate(translations(3), length_penalty=0.6)


def test_a_prefix_must_be_known() -> None:
    with pytest.raises(DataError, match='the prefix contains a token that the run does not know: "x"'):
        translation_run().decode("abc", prefix="HxA")
    for tokenizer in ("character", "byte"):
        for answer in (translation_run(tokenizer=tokenizer).decode, translation_run(tokenizer=tokenizer).stream):
            with pytest.raises(DataError, match="the prefix holds an unpaired surrogate"):
                answer("abc", prefix="\udcff")


def test_a_prefix_without_a_token_changes_nothing() -> None:
    run = translation_run(tokenizer="word", source_tokenizer="character")
    assert run.decode("abc", prefix=" ") == run.decode("abc")
    assert "".join(run.stream("abc", prefix=" ")) == run.decode("abc")[0].text


def test_its_own_test_split_gives_the_result_of_the_training(tmp_path: Path) -> None:
    path = write_pairs(tmp_path / "a.csv")
    run = api.train(path, out=tmp_path / "run", **SMALL)
    assert run.evaluate() == run.test == api.load(tmp_path / "run").evaluate()
    assert run.evaluate(path).n == 60
    with pytest.raises(ConfigError, match="read as in training"):
        run.evaluate(target="x")
    assert run.read_texts(path)[0] == translations()[0][0]
    write_pairs(path, translations(60, seed=5))
    with pytest.raises(DataError, match=r"a\.csv: these are not the data of the training"):
        run.evaluate()
    alone = api.train(translations(), **SMALL | {"test_fraction": 0.0})
    assert alone.test is None
    with pytest.raises(DataError, match="trained without a test split"):
        alone.evaluate()


def test_pairs_that_a_model_cannot_take_stop_or_are_counted(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    made = [*translations(), ("abcdefghabcdefgh", "AB")]
    path = write_pairs(tmp_path / "a.csv", made)
    settings = SMALL | {"max_length": 10, "valid_fraction": 0.2}
    with pytest.raises(DataError, match=r"a\.csv, line 62: the source has 16 tokens, more than the maximum of 10"):
        api.train(path, **settings)
    with caplog.at_level("INFO", "unrolled"):
        run = api.train(path, on_bad_row="skip", **settings)
    assert "1 skipped (1 source too long)" in caplog.text
    assert sum(split["rows"] for split in run.record["data"]["splits"].values()) == 60
    assert run.evaluate() == run.test
    cut = api.train(path, truncate=True, **settings)
    assert sum(split["rows"] for split in cut.record["data"]["splits"].values()) == 61
    short = api.train(path, truncate=True, **settings | {"max_length": 2})
    caplog.clear()
    with caplog.at_level("INFO", "unrolled"):
        assert short.evaluate() == short.test
    assert caplog.text.count("truncated to 2 tokens") == 1, "its own test split is made ids once"
    with pytest.raises(DataError, match=r"item 0: all tokens of the source are unknown"):
        run.evaluate([("???", "AB")], on_bad_row="stop")


@pytest.mark.parametrize(("name", "window"), [("transformer", 12), ("gpt", 22)])
def test_pairs_and_answers_fit_into_the_window(name: str, window: int, tmp_path: Path) -> None:
    path = write_pairs(tmp_path / "a.csv", [*translations(), ("abcdefghabcdefgh", "AB")])
    settings = SMALL | {"model": name, "num_heads": 1, "hidden_size": 4}
    with pytest.raises(DataError, match=r"a\.csv, line 62: a source of 16 tokens and a target of \d.* window"):
        api.train(path, window=12 if name == "transformer" else 16, **settings)
    run = api.train(translations(), window=window, **settings)
    long = run.decode("abcdefgh", length=2_000, min_length=4)[0].targets[0]
    assert long.tokens <= (12 if name == "transformer" else 13)
    limit = 12 if name == "transformer" else 20
    with pytest.raises(DataError, match=f"the source has 21 tokens, more than the maximum of {limit}"):
        run.decode("abc" * 7)
    (cut,) = run.decode("abc" * 7, truncate=True)
    assert cut.truncated == f"truncated after the first {limit} of 21 tokens of the source"
    assert cut.targets[0].tokens <= (12 if name == "transformer" else 1)
    with pytest.raises(DataError, match="do not fit into the model's context window"):
        run.evaluate([("abc" * 7, "AB")])
    trace = run.explain("abc" * 7, attribution=False)
    assert len(trace["source.tokens"]) == limit


def test_a_vocabulary_without_a_token_of_its_own_is_refused() -> None:
    rare = [(f"w{i}", f"v{i}") for i in range(40)]
    with pytest.raises(ConfigError, match="no word occurs 2 times .* --min-frequency 1"):
        api.train(rare, **SMALL | {"tokenizer": "word", "source_tokenizer": "byte", "min_frequency": 2})


def test_tokenisers_of_another_run_are_refused(tmp_path: Path) -> None:
    """A vocabulary of another run is refused, even where the checksums match."""
    from unrolled import atomic

    run, other = translation_run(), translation_run(tokenizer="byte")
    files = run.files() | {"tokenizers.json": other.files()["tokenizers.json"]}
    atomic.write(tmp_path / "run", files)
    with pytest.raises(CheckpointError, match=r"tokenizers\.json makes vocabularies 261 and 261, and the model reads"):
        api.load(tmp_path / "run")


def test_a_training_may_start_from_a_run() -> None:
    run = translation_run()
    on = api.train(translations(60, seed=1), start=run, updates=2)
    assert on.tokenizers is run.tokenizers
    with pytest.raises(ConfigError, match="keeps its network and tokeniser: shared_vocabulary is False"):
        api.train(translations(), start=run, shared_vocabulary=True)


def test_one_vocabulary_for_both_sides() -> None:
    run = api.train([(source, source[::-1]) for source, _ in translations()], **SMALL | {"shared_vocabulary": True})
    assert run.tokenizers.shared
    assert run.tokenizers.source.vocabulary_size == 5 + 8
    tied = api.train(translations(), **SMALL | {"shared_vocabulary": True, "tied": True})
    assert tied.record["parameters"] < api.train(translations(), **SMALL).record["parameters"]


def test_a_sample_has_settings_of_its_own() -> None:
    said = infer_settings("sample:letters", {"task": "translate"}, None)
    assert (said["tokenizer"], said["source_tokenizer"]) == ("word", "character")
    assert infer_settings("sample:letters", {"task": "translate", "tokenizer": "bpe"}, None)["tokenizer"] == "bpe"
    base = from_flat({"task": "translate", "tokenizer": "character"})
    assert "tokenizer" not in infer_settings("sample:letters", {}, base)
    assert "tokenizer" not in infer_settings("sample:verses", {"task": "translate"}, None)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"text": "x"}, "^text (only applies|does not apply) to"),
        ({"class_weights": "balanced"}, "^class_weights (only applies|does not apply) to"),
        ({"read": "mean"}, "^read (only applies|does not apply) to"),
        ({"model": "encoder_decoder", "score": "dot"}, "^score (only applies|does not apply) to"),
        ({"model": "gru"}, 'model "gru" does not serve task "translate"; encoder_decoder, attention'),
        ({"task": "classify", "model": "gru", "max_length": 9}, "^max_length (only applies|does not apply) to"),
    ],
)
def test_unused_settings_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        api.train(translations(), **SMALL | settings)


OPTIONS = [
    Option("cache", "elsewhere", changes=False),
    Option("source", "target", {"target": "more"}),
    Option("target", "more"),
    Option("valid", "valid.csv"),
    Option("test", "test.csv"),
    Option("valid_fraction", 0.3),
    Option("test_fraction", 0.3),
    Option("split_seed", 1),
    Option("on_bad_row", "skip", {"data": "bad.csv"}),
    Option("tokenizer", "byte"),
    Option("source_tokenizer", "byte"),
    Option("shared_vocabulary", True),
    Option("vocabulary_size", 9),
    Option("min_frequency", 30),
    Option("lowercase", True, {"tokenizer": "word", "data": "phrases.csv"}),
    Option("normalize", "nfkc", {"tokenizer": "character", "data": "accents.csv"}),
    Option("header", False, {"source": "1", "target": "2", "data": "numbered.csv"}),
    Option("separator", "semicolon", {"source": "1", "target": "2", "data": "either.csv", "header": False}),
    Option("max_length", 4, {"on_bad_row": "skip"}),
    Option("truncate", True, {"max_length": 4, "on_bad_row": "skip"}),
    Option("updates", 3),
    Option("epochs", 2.0, {"updates": None, "epochs": 3.0}),
    Option("batch_tokens", 80),
    Option("accumulate", 2, {"batch_tokens": 200}),
    Option("learning_rate", 1e-3),
    Option("best_by", "accuracy", WILD),
    *OF_TRAINING,
]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    made = translations()
    rows = [f"{source},{target},{source.upper()}\n" for source, target in made]
    (tmp_path / "data.csv").write_text("source,target,more\n" + "".join(rows))
    (tmp_path / "bad.csv").write_text("source,target\n" + "".join(f"{s},{t}\n" for s, t in made) + "x,\n")
    phrases = [(f"The {source}", f"the {target} The") for source, target in made]
    write_pairs(tmp_path / "phrases.csv", phrases)
    write_pairs(tmp_path / "accents.csv", [(f"caf\u00e9 cafe\u0301 {source}", target) for source, target in made])
    (tmp_path / "numbered.csv").write_text("1,2\n" + "".join(f"{source},{target}\n" for source, target in made))
    either = [f"{source};{target.lower()},{target}\n" for source, target in made]
    (tmp_path / "either.csv").write_text("".join(either))
    for number, name in enumerate(("valid", "test"), start=1):
        write_pairs(tmp_path / f"{name}.csv", translations(6, seed=number))


def build(settings: Mapping[str, object]) -> dict[str, Tensor]:
    settings = dict(settings)
    data = settings.pop("data", "data.csv")
    return left_by(lambda: api.train(data, runs="runs", **SMALL | settings))


def test_the_table_has_every_option() -> None:
    assert not missing_or_unknown(OPTIONS, "translate")


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize("option", OPTIONS, ids=identity)
def test_every_option_matters(option: Option) -> None:
    assert laws.options_matter(build, [option]).compared == 1
