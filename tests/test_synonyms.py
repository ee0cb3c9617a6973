"""Names of other tools in messages."""

import pytest

from unrolled.cli.main import run
from unrolled.config import fields, from_flat
from unrolled.config.synonyms import SYNONYMS, suggestion, synonyms
from unrolled.decoding.options import OPTIONS
from unrolled.errors import ConfigError

OURS = {name for _, _, name, _ in fields()} | {
    name for verbs in OPTIONS.values() for schema in verbs.values() for name in schema.model_fields
}


def test_every_synonym_stands_for_one_name_of_ours() -> None:
    others = [other for words in SYNONYMS.values() for other in words.split()]
    assert len(others) == len(set(others)) == len(synonyms())
    assert SYNONYMS.keys() <= OURS | {"model", "out", "source_file", "target_file"}


def test_known_names_only() -> None:
    assert suggestion("lr", ["learning_rate"]) == ' (did you mean "learning_rate"?)'
    assert suggestion("lr", ["epochs"]) == ""
    assert suggestion("epoch", ["epochs", "updates"]) == ' (did you mean "epochs"?)'


@pytest.mark.parametrize(
    ("name", "ours"), [("batch_size", "batch_tokens"), ("lr", "learning_rate"), ("ema", "average")]
)
def test_python_and_command_line_name_ours(name: str, ours: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ConfigError, match=f'unknown setting "{name}" .did you mean "{ours}"'):
        from_flat({name: 1})
    assert run(["train", "x.csv", f"--{name.replace('_', '-')}", "1"]) == 2
    assert f"Did you mean --{ours.replace('_', '-')}?" in " ".join(capsys.readouterr().err.split())


def test_a_length_has_its_own_name_in_decode(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["decode", "runs/x", "--max-new-tokens", "5"]) == 2
    assert "Did you mean --length?" in " ".join(capsys.readouterr().err.split())
