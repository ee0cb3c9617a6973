"""The one schema: what it accepts, and what it says of what it does not."""

import re
import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from unrolled.config import (
    Config,
    DataConfig,
    ModelConfig,
    TrainingConfig,
    chosen,
    fields,
    from_flat,
    from_toml,
    seconds,
    to_toml,
)
from unrolled.errors import ConfigError


def toml(folder: Path, text: str) -> Path:
    path = folder / "run.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_names_are_unique_and_every_setting_says_what_it_means() -> None:
    names = [flat for _, _, flat, _ in fields()]
    assert (
        len(names)
        == len(set(names))
        == 1 + sum(len(schema.model_fields) for schema in (DataConfig, ModelConfig, TrainingConfig))
    )
    for _, _, name, field in fields():
        assert field.description, name
        assert field.description[0].islower() or field.description.startswith("CPU"), name
        assert not field.description.endswith("."), name


def test_every_number_has_an_upper_bound_with_a_reason() -> None:
    for _, _, name, field in fields():
        if not re.search(r"\b(int|float)\b", str(field.annotation)):
            continue
        bounds = [bound for each in field.metadata for bound in (getattr(each, "le", None), getattr(each, "lt", None))]
        assert any(bound is not None for bound in bounds), name
        if any(bound == 1 for bound in bounds):  # a fraction needs no reason
            continue
        with pytest.raises(ConfigError, match=rf"^{name} should .*\(.+\): got [^\n]*$"):
            from_flat({name: 10**40})


def test_flat_settings_go_where_they_belong() -> None:
    config = from_flat({"model": "lstm", "hidden_size": 7, "text": "says", "seed": 3})
    assert (config.model.name, config.model.hidden_size, config.data.text, config.training.seed) == (
        "lstm",
        7,
        "says",
        3,
    )
    assert from_flat({"seed": 4}, base=config).model.hidden_size == 7
    assert config.flat() == Config().flat() | {"model": "lstm", "hidden_size": 7, "text": "says", "seed": 3}


def test_what_is_printed_is_read_back(tmp_path: Path) -> None:
    config = from_flat({"model": "elman", "valid": "v.csv", "dropout": 0.25, "bidirectional": True, "read": "max"})
    printed = to_toml(config)
    assert from_toml(toml(tmp_path, printed)) == config
    assert from_toml(toml(tmp_path, to_toml(Config()))) == Config()
    for _, name, _, field in fields():
        assert f"{name} =" in printed
        assert field.description in printed


@given(
    text=st.text(st.characters(exclude_categories=["Cs"])),
    rate=st.floats(min_value=0, max_value=1000, exclude_min=True),
    seed=st.integers(0, 2**63 - 1),
)
def test_whatever_a_setting_holds_is_read_back(text: str, rate: float, seed: int) -> None:
    config = from_flat({"text": text, "learning_rate": rate, "seed": seed})
    assert Config.model_validate(tomllib.loads(to_toml(config))) == config


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"hiden_size": 4}, 'unknown setting "hiden_size" (did you mean "hidden_size"?); `unrolled config` lists all'),
        ({"hidden_size": 0}, "hidden_size should be greater than or equal to 1: got 0"),
        (
            {"hidden_size": 10**9},
            "hidden_size should be less than or equal to 65536 (more fits into no memory): got 1000000000",
        ),
        (
            {"hidden_size": "many"},
            "hidden_size should be a valid integer, unable to parse string as an integer: got",
        ),
        ({"hidden_size": 2.5}, "hidden_size should be a valid integer"),
        ({"dropout": 1}, "dropout should be less than 1: got 1"),
        ({"learning_rate": float("nan")}, "learning_rate should be"),
        ({"epochs": float("inf")}, "epochs should be a finite number: got inf"),
        ({"read": "first"}, "read should be 'last', 'mean' or 'max': got 'first'"),
        ({"device": "gpu"}, "device should be 'auto', 'cpu', 'cuda' or 'mps': got 'gpu'"),
        ({"model": "grux"}, 'model "grux" is unknown (did you mean "gru"?)'),
        ({"model": "gpt"}, 'model "gpt" does not serve task "classify"; feedforward, elman, lstm, gru, transformer, '),
        (
            {"task": "translate", "model": "gru"},
            'model "gru" does not serve task "translate"; encoder_decoder, attention',
        ),
        ({"shared_vocabulary": True, "source_tokenizer": "byte"}, "shared_vocabulary needs one tokenizer for both sid"),
        ({"model": 3}, "name should be a valid string: got 3"),
        ({"seed": None}, "seed should be a valid integer: got None"),
        ({"text": ["x" * 200]}, "text should be a valid string: got ['xxxxx"),
    ],
)
def test_what_is_refused(settings: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError) as refused:
        from_flat(settings)
    assert str(refused.value).startswith(message)
    assert len(str(refused.value)) < 250


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        (
            "[model]\n# hidden_size = 3\nhiden_size = 4\n",
            3,
            'unknown setting "hiden_size" (did you mean "hidden_size"?)',
        ),
        ("[training]\nhidden_size = 4\n", 2, 'unknown setting "hidden_size"; it belongs in [model]'),
        ("[data]\ntask = 'tag'\n", 2, 'unknown setting "task"; it belongs before the sections'),
        ("model = 'gru'\n", 1, 'model is a section: write [model], and below it name = "gru"'),
        ("seed = 4\n", 1, 'unknown setting "seed"; it belongs in [training]'),
        ("\n[trainning]\nseed = 4\n", 2, 'unknown setting "trainning" (did you mean "training"?)'),
        ("[data]\ntext = 'a'\n\n[model]\ndropout = 1.5", 5, "dropout should be less than 1: got 1.5"),
        ("[data]\ntext = 'dropout'\n[model]\n'dropout' = 2\n", 4, "dropout should be less than 1"),
        ("[model]\nname = 'grux'\n", 1, 'model "grux" is unknown'),
        ("\nmodel = {hidden_size = 0}\n", 2, "hidden_size should be"),
        ("\nmodel.hidden_size = 0\n", 2, "hidden_size should be"),
        ("model = 3\n", 1, "model should be a valid dictionary"),
    ],
)
def test_a_file_is_refused_with_its_line(text: str, line: int, message: str, tmp_path: Path) -> None:
    path = toml(tmp_path, text)
    with pytest.raises(ConfigError) as refused:
        from_toml(path)
    assert str(refused.value).startswith(f"{path}, line {line}: {message}")


def test_every_mistake_of_a_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as refused:
        from_toml(toml(tmp_path, "[model]\nhidden_size = 0\n[training]\nsede = 1\nclip = -1\n"))
    lines = [sentence.partition(": ")[0].rpartition(" ")[2] for sentence in str(refused.value).splitlines()]
    assert sorted(lines) == ["2", "4", "5"]


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"no\.toml cannot be read as a configuration: No such file"):
        from_toml(tmp_path / "no.toml")
    with pytest.raises(ConfigError, match="cannot be read as a configuration: Is a directory"):
        from_toml(tmp_path)
    with pytest.raises(ConfigError, match=r"is not TOML: .*line 2.*`unrolled config` prints a valid one"):
        from_toml(toml(tmp_path, "[model]\nhidden_size = \n"))
    (tmp_path / "latin.toml").write_bytes(b"# \xe9\n")
    with pytest.raises(ConfigError, match=r"is not UTF-8 \(byte 2\): convert it"):
        from_toml(tmp_path / "latin.toml")


def test_a_config_is_a_value() -> None:
    with pytest.raises(ValueError, match="frozen"):
        Config().row = "lstm"
    with pytest.raises(ValueError, match="frozen"):
        Config().model.hidden_size = 3


def test_what_a_file_has_chosen_is_what_stands_in_it(tmp_path: Path) -> None:
    """Not what its task would have by default: over a run's own settings that would be too much."""
    path = toml(tmp_path, 'task = "translate"\n[model]\nhidden_size = 288\n[training]\nlearning_rate = 0.003\n')
    assert from_toml(path).model.dropout == 0.2
    assert chosen(path) == {"task": "translate", "hidden_size": 288, "learning_rate": 0.003}
    assert chosen(toml(tmp_path, "")) == {}


@pytest.mark.parametrize(("time", "wanted"), [("90s", 90), ("0.5s", 0.5), ("10m", 600), ("1.5h", 5_400)])
def test_a_time_is_in_seconds(time: str, wanted: float) -> None:
    assert seconds(time) == wanted
