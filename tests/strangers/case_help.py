"""Help, refusals and messages of the command line: fast, for the choice at hand, with remedies that work."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from unittest.mock import patch

from strangers.cases import case
from strangers.commands import command
from unrolled.cli.main import VERBS
from unrolled.cli.wrapping import wrapped
from unrolled.config import from_flat, from_toml

HEAVY = ("torch", "numpy", "sklearn", "tokenizers", "safetensors")
COMMAND = re.compile(r"^ *(unrolled .+?)$", re.M)


def table(folder: Path) -> Path:
    """Write a small table of texts and labels."""
    path = folder / "reviews.csv"
    path.write_text("text,label\n" + "".join(f"a text number {i},{'ab'[i % 2]}\n" for i in range(40)))
    return path


def help_of(*arguments: object, columns: int = 80) -> str:
    """Return the help of a command, for a terminal of so many columns."""
    with patch.dict(os.environ, {"COLUMNS": str(columns)}):
        outcome = command(*arguments, "--help")
    assert outcome.code == 0, outcome
    return outcome.out


def flags_in(text: str) -> set[str]:
    """Return the names of the flags that a help describes."""
    return {name for line in re.findall(r"^  (--\S.*)", text, re.M) for name in re.findall(r"--[a-z-]+", line[:60])}


@case("C")
def wrong_commands_load_nothing(folder: Path) -> None:
    """Missing files, typos, flags without use, wrong samples, folders and suffixes: no torch, no numpy, exit 2"""
    data = table(folder)
    (folder / "there").mkdir()
    wrong = [
        ["train", "reviws.csv"],
        ["data", "reviws.csv"],
        ["train", data, "--valid", "no.csv"],
        ["train", data, "--hiden-size", "4"],
        ["train", data, "--hidden-size", "0"],
        ["train", data, "--forget-bias", "1"],
        ["train", data, "--streams", "4"],
        ["data", data, "--source", "text"],
        ["train", "sample:film"],
        ["data", "sample:tags"],
        ["train", data, "--out", data],
        ["train", data, "--out", folder / "there"],
        ["train", data, "--from", folder / "there"],
        ["train", "--resume", "nothing"],
        ["data", data, "--picture", "chart.png"],
        ["decode", "nothing", "x"],
        ["decode", folder / "there", "x"],
        ["evaluate", "nothing"],
        ["evaluate", "nothing", "no.csv"],
        ["explain", "nothing", "x"],
        ["runs", "nothing"],
        ["config", "--num-heads", "2"],
    ]
    code = (
        "import sys\nfrom unrolled.cli.main import run\n"
        f"for wrong in {[[str(word) for word in each] for each in wrong]!r}:\n"
        "    assert run(wrong) == 2, wrong\n"
        f"assert not {set(HEAVY)!r} & set(sys.modules), set(sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=folder, timeout=120)
    assert done.returncode == 0, done.stderr


@case("C")
def help_loads_nothing(folder: Path) -> None:
    """--help of every verb, of a task and model and of a run, `runs` and `config`: no torch, no numpy"""
    code = (
        "import sys\nfrom unrolled.cli.main import run\n"
        f"for verb in {tuple(VERBS)!r}: assert run([verb, '--help']) == 0\n"
        "for right in (['train', '--task', 'tag', '--help'], ['train', 'sample:fashion', '--help'], ['runs'],\n"
        "              ['decode', '--help', '--task', 'translate'], ['config', '--model', 'lstm']):\n"
        "    assert run(right) == 0, right\n"
        f"assert not {set(HEAVY)!r} & set(sys.modules), set(sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=folder, timeout=120)
    assert done.returncode == 0, done.stderr


@case("C")
def a_missing_file_names_the_nearest(folder: Path) -> None:
    """A typo in the name of a file names the nearest one in its folder, and the remedy is that file"""
    data = table(folder)
    for arguments in (("train", folder / "review.csv"), ("data", folder / "revews.csv")):
        outcome = command(*arguments)
        assert outcome.code == 2, outcome
        assert f"did you mean {data}?" in outcome.err, outcome.err
    outcome = command("train", data, "--test", folder / "reviws.csv")
    assert f"did you mean {data}?" in outcome.err, outcome.err
    assert "check the path" in command("data", folder / "nowhere" / "x.csv").err


@case("C")
def the_remedy_of_an_unused_flag_works(folder: Path) -> None:
    """--forget-bias with a GRU, --num-heads with an LSTM, --score, --zoneout: the remedy named is accepted as it is"""
    for arguments in (
        ["--forget-bias", "1"],
        ["--model", "gru", "--forget-bias", "2"],
        ["--num-heads", "2"],
        ["--model", "transformer", "--zoneout", "0.1"],
        ["--model", "feedforward", "--cell", "gru"],
        ["--task", "translate", "--forget-bias", "1"],
        ["--task", "translate", "--model", "transformer", "--score", "dot"],
        ["--plateau-patience", "3"],
        ["--source", "english"],
        ["--streams", "4"],
    ):
        outcome = command("config", *arguments)
        assert outcome.code == 2, outcome
        remedy = re.search(r"remove (?:it|them),? or use ((?:--\S+ \w+ ?)+)", outcome.err)
        assert remedy, outcome.err
        changes = remedy[1].split()
        kept = [*arguments]
        for flag in changes[::2]:
            if flag in kept:
                del kept[kept.index(flag) : kept.index(flag) + 2]
        assert command("config", *kept, *changes).code == 0, (arguments, changes)


@case("C")
def flags_of_the_wrong_kind_of_data(folder: Path) -> None:
    """--text with images, --by with a table, --batch-images with texts: refused in one sentence each, before reading"""
    assert "--text does not apply to images; remove it" in command("train", "sample:fashion", "--text", "x").err
    err = command("train", table(folder), "--batch-images", "9", "--text", "text").err
    assert "--batch-images only applies to images; remove it" in err
    assert "--text" not in err
    assert "--chunk" in command("train", table(folder), "--task", "tag", "--chunk", "9").err


@case("C")
def help_shows_examples_first(folder: Path) -> None:
    """train --help: usage, one sentence, examples, then about thirty flags at most, and how to see the rest"""
    text = help_of("train")
    assert text.index("unrolled train sample:films") < text.index("--out")
    assert len(flags_in(text)) <= 30, sorted(flags_in(text))
    assert {"--task", "--model", "--epochs", "--hidden-size", "--text", "--label"} <= flags_in(text)
    assert "unrolled train --help --task tag --model lstm" in text
    assert "unrolled config" in text
    for line in COMMAND.findall(text):
        if "--help" in line:
            assert command(*line.split()[1:]).code == 0, line


@case("C")
def help_of_a_task_and_model(folder: Path) -> None:
    """train --help --task T --model M: its own flags with its own defaults, single values, as `unrolled config` says"""
    for task, model in (("tag", "lstm"), ("generate", "gpt"), ("translate", "attention"), ("classify", "transformer")):
        text = help_of("train", "--task", task, "--model", model, columns=100)
        printed = command("config", "--task", task, "--model", model).out
        settings = re.findall(r"^(?:# )?(\w+) =", printed, re.M)
        names = {f"--{'model' if name == 'name' else name.replace('_', '-')}" for name in settings}
        assert names <= flags_in(text), names - flags_in(text)
        sections = [part for part in tomllib.loads(printed).values() if isinstance(part, dict)]
        values = {key: value for part in sections for key, value in part.items()}
        assert (
            from_flat({"task": task, "model": model}).flat().items()
            >= {key: value for key, value in values.items() if key != "name"}.items()
        )
        for name, value in values.items():
            if name != "name":
                shown = str(value).lower() if isinstance(value, bool) else str(value).removesuffix(".0")
                block = re.search(rf"^  --{name.replace('_', '-')}(?![-\w]).*?(?=^  --|^\S)", text, re.M | re.S)
                assert block, name
                assert f"[default: {shown}]" in " ".join(block[0].split()), (name, block[0])
    assert "images: " not in help_of("train", "--task", "classify")
    assert "--forget-bias" not in help_of("train", "--model", "gru")
    assert "--forget-bias" in help_of("train", "--task", "translate", "--cell", "lstm")
    assert "--streams" not in help_of("train", "--task", "tag")


@case("C")
def help_of_data_on_the_line(folder: Path) -> None:
    """train sample:fashion --help shows the flags of images, sample:tags those of tags; a typo in --task is named"""
    assert {"--by", "--batch-images"} <= flags_in(help_of("train", "sample:fashion"))
    assert not {"--text", "--tokenizer"} & flags_in(help_of("train", "sample:fashion"))
    assert "--whole-words" in flags_in(help_of("train", "sample:tags"))
    outcome = command("train", "--task", "tga", "--help")
    assert outcome.code == 2, outcome
    assert 'did you mean "tag"?' in outcome.err


@case("C")
def help_of_decode_by_task(folder: Path) -> None:
    """decode --help --task T, and evaluate, show the options of that task only, with one default each"""
    assert {"--beam", "--n-best"} <= flags_in(help_of("decode", "--task", "translate"))
    assert not {"--beam", "--prefix", "--file"} & flags_in(help_of("decode", "--task", "generate"))
    assert {"--prompt", "--stop"} <= flags_in(help_of("decode", "--task", "generate"))
    assert not {"--prompt", "--beam", "--temperature"} & flags_in(help_of("decode", "--task", "classify"))
    assert "--beam" not in flags_in(help_of("evaluate", "--task", "tag"))
    assert "--target" not in flags_in(help_of("explain", "--task", "tag"))
    assert "[default: 500]" in help_of("decode", "--task", "generate")


@case("C")
def help_on_narrow_terminals(folder: Path) -> None:
    """At 60 columns no help breaks a flag, path or command; only examples and single words are longer than a line"""
    for verb in VERBS:
        text = help_of(verb, columns=60)
        for line in text.splitlines():
            example = line.startswith("  unrolled ")
            assert example or len(line) <= 60 or len(line.split()) == 1 or line.startswith("Usage"), (verb, line)
            assert example or not line.endswith((" --", "/")), (verb, line)
    for sample in ("sample:products", "sample:shakespeare"):
        assert sample in help_of("train", columns=60)


@case("C")
def messages_on_narrow_terminals(folder: Path) -> None:
    """On a terminal of 60 columns messages are broken between words, never in a path, a quotation or a command"""
    path = "/a/very/long/path/of/some/user/with/many/folders/in/it/reviews.csv"
    message = f'{path}: there is no such file; run `unrolled train {path} --resume` as in "two words"\n  fix:  x'
    text = wrapped(message, 60, prefix="unrolled: ")
    assert text.splitlines()[0] == f"unrolled: {path}:", text
    assert all(len(line) <= 60 or path in line for line in text.splitlines())
    assert f"`unrolled train {path} --resume`" in text.splitlines(), text
    assert text.endswith("\n  fix:  x")
    assert wrapped(message, None) == message


@case("C")
def config_of_a_choice(folder: Path) -> None:
    """config --task T --model M prints settings that train reads back; without them every setting"""
    for arguments in (["--task", "tag", "--model", "lstm"], [], ["--task", "classify", "--model", "elman"]):
        printed = command("config", *arguments).out
        (folder / "x.toml").write_text(printed)
        again = command("config", "--config", folder / "x.toml", *arguments).out
        assert again == printed or not arguments
        assert from_toml(folder / "x.toml") == from_flat(dict(zip(["task", "model"], arguments[1::2], strict=False)))
    assert "forget_bias" in command("config").out
    assert "num_heads" not in command("config", "--task", "tag", "--model", "lstm").out
    nested = json.loads(command("config", "--model", "lstm", "--json").out)
    assert "num_heads" not in nested["model"]
