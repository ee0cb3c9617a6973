"""The command line as a stranger uses it: what every verb says, and how it says no."""

import io
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
from PIL import Image

from small import (
    pairs,
    pictures,
    text_run,
    trained,
    translation_run,
    translations,
    write_conllu,
    write_csv,
    write_images,
    write_pairs,
    write_text,
)
from unrolled.cli.main import VERBS, run
from unrolled.config import fields, from_toml
from unrolled.data.reading import stdin
from unrolled.decoding import options

MAIN = "from unrolled.cli.main import main; main()"
TINY = ["--updates", "2", "--hidden-size", "4", "--embedding-size", "4"]


class Said:
    """What a command said, and its exit code."""

    def __init__(self, code: int, out: str, err: str) -> None:
        self.code, self.out, self.err = code, out, err

    def refused(self) -> str:
        """One message on standard error, exit code 2, nothing else."""
        assert self.code == 2, self.err
        assert self.out == ""
        assert self.err.startswith("unrolled: ") or "\nunrolled: " in self.err, self.err
        assert self.err.count("unrolled: ") == 1
        assert "Traceback" not in self.err
        return self.err[self.err.index("unrolled: ") + len("unrolled: ") :]


@pytest.fixture
def say(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., Said]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "100")

    def command(*arguments: object) -> Said:
        code = run([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        return Said(code, captured.out, captured.err)

    return command


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = trained().save(tmp_path / "run").path
    assert path is not None
    return path


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return write_csv(tmp_path / "data.csv")


def test_the_whole_way(say: Callable[..., Said], data: Path, tmp_path: Path) -> None:
    said = say("train", "data.csv", *TINY)
    assert said.code == 0
    assert "saved: runs/data-gru-1" in said.out
    assert "accuracy" in said.out
    assert "60 rows read = 60 used + 0 skipped" in said.err
    assert "update 2/2" in said.err
    said = say("train", data, "--model", "lstm", "--out", "mine", "--json", *TINY)
    record = json.loads(said.out)
    assert record["run"] == "mine"
    assert record["config"]["model"]["name"] == "lstm"
    assert record["training"]["updates"] == 2
    assert say("train", data, "--quiet", *TINY).err == ""
    assert sorted(path.name for path in (tmp_path / "runs").iterdir()) == ["data-gru-1", "data-gru-2"]
    answer, second = say("decode", "mine", "so fine", "so dull").out.splitlines()
    assert answer.split("\t")[0] in ("neg", "pos")
    assert answer.split("\t")[2] == "so fine"
    assert second.endswith("so dull")
    said = say("evaluate", "mine", "--json")
    assert json.loads(said.out) == record["result"]
    said = say("evaluate", "mine", data)
    assert "accuracy" in said.out
    assert "these are the data of the training, most of which the model has learned" in said.err
    assert "data of the training" not in say("evaluate", "mine").err + say("evaluate", "mine", data, "--test-split").err


def test_the_whole_way_of_a_text(say: Callable[..., Said], tmp_path: Path) -> None:
    write_text(tmp_path / "text.txt", "the cat sat on the mat\n" * 50)
    tiny = ["--task", "generate", *TINY, "--chunk", "8"]
    said = say("train", "text.txt", *tiny)
    assert said.code == 0
    assert "bits per character" in said.out
    assert 'try:   unrolled decode runs/text-gru-1 --prompt "a beginning"' in said.out
    assert "ids made" in said.err
    said = say("train", "text.txt", "--model", "feedforward", "--window", "3", "--json", *tiny)
    record = json.loads(said.out)
    assert "ids read from the cache" in said.err
    assert json.loads(say("evaluate", record["run"], "--json").out) == record["result"]
    run = "runs/text-gru-1"
    written = say("decode", run, "--prompt", "the ", "--length", "30", "--temperature", "0.8").out
    assert written.startswith("the ")
    assert len(written) == 4 + 30 + 1
    assert say("decode", run, "the ", "--length", "30", "--temperature", "0.8").out == written
    lines = say(
        "decode", run, "--prompt", "the ", "--prompt", "", "--length", "30", "--temperature", "0.8", "--json"
    ).out
    first, second = map(json.loads, lines.splitlines())
    assert "the " + first["text"] + "\n" == written
    assert (second["prompt"], second["tokens"], second["ended"]) == ("", 30, "length")
    assert say("decode", run, "--prompt", "the ", "--stop", "t", "--stop", "e", "--length", "99", "--json").out
    assert "characters  " in say("data", "text.txt", "--task", "generate").out
    assert json.loads(say("data", "text.txt", "--task", "generate", "--json").out)["vocabulary_size"] > 5
    assert "60 characters" in say("evaluate", run, write_text(tmp_path / "more.txt", "the cat at" * 6)).out


def test_the_whole_way_of_images(say: Callable[..., Said], tmp_path: Path) -> None:
    write_images(tmp_path / "set", "train", 60)
    write_images(tmp_path / "set", "t10k", 20, seed=1)
    tiny = ["--hidden-size", "4", "--updates", "2"]
    said = say("train", "set", "--model", "lstm", "--by", "column", *tiny)
    assert said.code == 0
    assert "60 images read = 60 used + 0 skipped" in said.err
    assert "images of 5 × 6 pixels, 1 channel, read by column" in said.err
    assert "try:   unrolled decode runs/set-lstm-1 IMAGE.png" in said.out
    record = json.loads(say("train", "set", "--model", "feedforward", "--dropout", "0.4", "--json", *tiny).out)
    assert (record["config"]["data"]["by"], record["config"]["model"]["dropout"]) == ("image", 0.4)
    assert json.loads(say("evaluate", record["run"], "--json").out) == record["result"]
    Image.fromarray(pictures(1)[0][0]).save(tmp_path / "one.png")
    label, probability, name = say("decode", "runs/set-lstm-1", "one.png").out.rstrip().split("\t")
    assert (label in "01", 0 < float(probability) < 1, name) == (True, True, "one.png")
    lines = say("decode", "runs/set-lstm-1", "--file", "set/t10k-images-idx3-ubyte", "--json").out.splitlines()
    assert len(lines) == 20
    assert json.loads(lines[7])["image"] == "set/t10k-images-idx3-ubyte, image 7"
    assert "read by row: 6 steps of 5 numbers" in say("data", "set").out
    assert say("data", "set", "--json").code == 0
    (tmp_path / "one.png").write_bytes(b"")
    assert say("decode", "runs/set-lstm-1", "one.png").refused().startswith("one.png: is empty")
    assert say("decode", "runs/set-lstm-1", "--file", "set", "--text", "x").refused().startswith("this run's task is")
    assert say("train", "set", "--text", "x").refused().startswith("--text does not apply to images; remove it")


def test_the_whole_way_of_tags(say: Callable[..., Said], tmp_path: Path) -> None:
    data = write_conllu(tmp_path / "data.conllu")
    said = say("train", "data.conllu", "--task", "tag", "--model", "lstm", *TINY)
    assert said.code == 0
    assert "40 sentences read = 40 used + 0 skipped" in said.err
    assert "unseen words" in said.out
    run = "runs/data-lstm-1"
    assert f'decode {run} "a sentence of your own"' in said.out
    lines = say("decode", run, "the film is", "a no3").out.splitlines()
    assert [line.split("\t")[0] for line in lines] == ["the", "film", "is", "", "a", "no3", ""]
    (answer,) = say("decode", run, "the film", "--json").out.splitlines()
    assert [word["word"] for word in json.loads(answer)["words"]] == ["the", "film"]
    assert len(say("decode", run, "--file", data, "--json").out.splitlines()) == 40
    assert json.loads(say("evaluate", run, "--json").out)["words"] > 0
    assert "40 sentences" in say("evaluate", run, data).out
    assert "task is tag, which does not use --text" in say("evaluate", run, data, "--text", "x").refused()
    assert "task is tag, which does not use --length" in say("decode", run, "x", "--length", "3").refused()
    assert "duplicate sentences: none" in say("data", data, "--task", "tag").out
    assert json.loads(say("data", data, "--task", "tag", "--json").out)["splits"]["train"]["sentences"] > 20
    data.write_text(data.read_text() + "1\tx\n")
    said = say("data", data, "--task", "tag")
    assert said.code == 2
    assert f"a training refuses these data:\n  {data}, line {len(data.read_text().splitlines())}" in said.out


def test_the_whole_way_of_pairs(say: Callable[..., Said], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = write_pairs(tmp_path / "data.csv")
    settings = ["--tokenizer", "character", "--min-frequency", "1"]
    said = say("train", "data.csv", "--task", "translate", "--cell", "lstm", *settings, *TINY)
    assert said.code == 0
    assert "60 pairs read = 60 used + 0 skipped" in said.err
    assert "model attention: " in said.err
    assert "vocabularies 13 and 13" in said.err
    assert "exact match" in said.out
    run = "runs/data-attention-1"
    assert f'decode {run} "a source of your own"' in said.out
    lines = say("decode", run, "abc", "fgh").out.splitlines()
    assert [line.split("\t")[2] for line in lines] == ["abc", "fgh"]
    assert len(say("decode", run, "abc", "--beam", "3", "--n-best", "2").out.splitlines()) == 2
    (answer,) = say("decode", run, "abc", "--prefix", "A", "--length", "3", "--json").out.splitlines()
    assert json.loads(answer)["source"] == "abc"
    assert json.loads(answer)["targets"][0]["text"].startswith("A")
    assert len(say("decode", run, "--file", data, "--json").out.splitlines()) == 60
    for _ in standard_input(monkeypatch, b"abc\nfgh\n"):
        assert say("decode", run).out.splitlines() == lines
    assert json.loads(say("evaluate", run, "--json").out)["n"] > 0
    assert "60 sources, 60 references" in say("evaluate", run, data, "--beam", "2").out
    report = json.loads(say("data", data, "--task", "translate", "--picture", "p.svg", "--json", *settings).out)
    assert sum(part["pairs"] for part in report["splits"].values()) == 60
    assert (tmp_path / "p.svg").read_text().startswith("<svg")
    assert translations()[0][0] in say("data", data, "--task", "translate", *settings).out
    data.write_text(data.read_text() + "x,\n")
    said = say("data", data, "--task", "translate")
    assert said.code == 2
    assert "data.csv, line 62, column 2" in said.out


def test_prompts_come_from_a_pipe(say: Callable[..., Said], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = text_run().save(tmp_path / "writer").path
    for _ in standard_input(monkeypatch, b"the cat\nfilm\n"):
        lines = say("decode", path, "--length", "5").out.split("\n")
    answers = [f"{answer.prompt}{answer.text}" for answer in text_run().decode(["the cat", "film"], length=5)]
    assert "\n".join(lines) == "\n".join(answers) + "\n"


@pytest.mark.parametrize("verb", ["evaluate", "data", "config", "backends"])
def test_json_stands_alone_on_standard_output(verb: str, say: Callable[..., Said], folder: Path, data: Path) -> None:
    arguments = {"evaluate": [folder, data], "data": [data]}.get(verb, [])
    said = say(verb, *arguments, "--json")
    assert said.code == 0
    assert isinstance(json.loads(said.out), dict)
    assert said.out.count("\n") == 1


def test_decode_from_a_file_in_its_order(say: Callable[..., Said], folder: Path, data: Path) -> None:
    said = say("decode", folder, "--file", data, "--json")
    answers = [json.loads(line) for line in said.out.splitlines()]
    assert [answer["text"] for answer in answers] == [text for text, _ in pairs()]
    assert set(answers[0]) == {"text", "label", "probability", "probabilities"}
    (data.parent / "new.jsonl").write_text('{"says": "tab\\tand\\nline"}\n')
    said = say("decode", folder, "-f", "new.jsonl", "--text", "says")
    assert said.out.endswith("\ttab\\tand\\nline\n"), "an answer is one line"
    assert say("decode", folder, "--file", "sample:films/test").out.count("\n") == 495


def test_decode_says_of_how_many_texts_no_token_is_known(say: Callable[..., Said], folder: Path) -> None:
    note = "all tokens of 2 texts are unknown to the vocabulary: their answer does not depend on the words"
    assert note in say("decode", folder, "xyzzy", "忘れ", "so fine").err
    assert "unknown" not in say("decode", folder, "so fine", "xyzzy fine").err
    assert "1 of 2 tokens is unknown to the network: “xyzzy”." in say("explain", folder, "xyzzy fine").out


def standard_input(monkeypatch: pytest.MonkeyPatch, given: bytes) -> Iterator[None]:
    read, write = os.pipe()
    os.write(write, given)
    os.close(write)
    with os.fdopen(read) as stream:
        monkeypatch.setattr(sys, "stdin", stream)
        yield


@pytest.mark.parametrize(
    ("given", "answered", "problem"),
    [
        (b"so fine\nso dull\n", 2, None),
        (b"\xef\xbb\xbfso fine\r\nso dull", 2, None),
        (b"", 0, None),
        (b"so fine\nso \xff\n", 1, "standard input, line 2: byte 3 (0xff) is not UTF-8"),
        (b"so fine\n" * 1200 + b"\xe9", 1200, "standard input, line 1201: byte 0 (0xe9) is not UTF-8"),
    ],
)
def test_standard_input_is_answered_up_to_a_bad_line(
    given: bytes, answered: int, problem: str | None, say: Callable, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in standard_input(monkeypatch, given):
        said = say("decode", folder)
    assert len(said.out.splitlines()) == answered
    assert "\r" not in said.out
    assert "\ufeff" not in said.out
    assert said.code == (2 if problem else 0)
    assert said.err.startswith(f"unrolled: {problem}") if problem else said.err == ""


def test_what_a_run_cannot_read_is_named_by_its_line_and_what_stands_before_is_answered(
    say: Callable[..., Said], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    turner, writer = (run().save(tmp_path / run.__name__).path for run in (translation_run, text_run))
    long = "ab" * 300
    for arguments, given, problem in [
        ([turner], "abc\n???\nfgh\n", "all tokens of the source are unknown to the vocabulary"),
        ([turner, "--json"], f"abc\n{long}\n", "the source has 600 tokens, more than the maximum of 512"),
        ([writer, "--length", "3"], "cat\n☃\n", 'the text contains tokens that the run does not know: "☃"'),
        ([writer, "--length", "3", "--json"], "cat\n☃\n", 'the text contains tokens that the run does not know: "☃"'),
    ]:
        for _ in standard_input(monkeypatch, given.encode()):
            said = say("decode", *arguments)
        assert (said.code, given[:3] in said.out, said.out.count("\n") > 0) == (2, True, True)
        assert said.err.startswith(f"unrolled: standard input, line 2: {problem}")
    (tmp_path / "new.csv").write_text(f"source\nabc\n???\n{long}\nfgh\n")
    assert (
        say("decode", turner, "--file", "new.csv")
        .refused()
        .startswith("new.csv, line 3: all tokens of the source are unknown")
    )
    said = say("decode", turner, "--file", "new.csv", "--on-bad-row", "skip", "--truncate", "--json")
    answers = [json.loads(line) for line in said.out.splitlines()]
    assert [answer["source"] for answer in answers] == ["abc", long, "fgh"]
    assert [answer["truncated"] for answer in answers] == [
        "",
        "truncated after the first 512 of 600 tokens of the source",
        "",
    ]
    assert "4 pairs read = 3 used + 1 skipped (1 unknown source)" in said.err
    assert said.err.count("truncated at 512 tokens, being longer: 1 source") == 1
    for _ in standard_input(monkeypatch, f"{long}\n".encode()):
        said = say("decode", turner, "--truncate")
    assert said.out.endswith("\ttruncated after the first 512 of 600 tokens of the source\n")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("tran x", 'Unknown command "tran". Did you mean "train"?'),
        ("train", "no data: give a file, as in `unrolled train reviews.csv`, or --resume RUN"),
        ("train data.csv more.csv", "Unused Tokens: ['more.csv']"),
        ("train data.csv --hiden-size 4", "Unknown option: --hiden-size. Did you mean --hidden-size?"),
        ("train data.csv --hidden-size many", 'Invalid value for --hidden-size: unable to convert "many" into int'),
        ("train data.csv --hidden-size 0", "hidden_size should be greater than or equal to 1: got 0"),
        ("train data.csv --dropout 1", "dropout should be less than 1: got 1.0"),
        ("train data.csv --epochs inf", "epochs should be a finite number"),
        ("train data.csv --learning-rate nan", "learning_rate should be"),
        ("train data.csv --model grux", 'Invalid value "grux" for --model. Choose from: "feedforward", "elman"'),
        ("train data.csv --model gpt", 'model "gpt" does not serve task "classify"'),
        (
            "train data.csv --task translate --model gru",
            'model "gru" does not serve task "translate"; encoder_decoder, ',
        ),
        ("train data.csv --task translate", 'data.csv, line 1: no column "source"; the columns are "text", "label"'),
        ("train sample:letters", "sample:letters is a sample for task translate, not classify"),
        (
            "train data.csv --max-length 9",
            "--max-length only applies to task translate; remove it, or use --task tr",
        ),
        ("decode run x --beam 2", "this run's task is classify, which does not use --beam: leave it out"),
        ("decode writer x --truncate", "this run's task is generate, which does not use --truncate: leave it out"),
        ("decode turner x --stop y", "this run's task is translate, which does not use --stop: leave it out"),
        ("decode turner --prompt x", "this run's task is translate, which does not use --prompt: leave it out"),
        ("decode turner abc --beam 0", "beam must be from 1 to 1,024: got 0"),
        ("decode turner abc --beam 10000000000", "beam must be from 1 to 1,024: got 10000000000"),
        (f"decode turner abc --length 1{'0' * 20}", "length must be from 1 to 1,000,000,000: got 1000000"),
        ("decode turner abc --min-length 100", "min_length must be from 0 to length, 7: got 100; give a smaller one"),
        ("decode turner abc --seed 0", "at temperature 0 nothing is drawn, so it does not use --seed: leave it out"),
        ("decode turner abc --length-penalty 0.6", "length_penalty needs a beam of at least 2"),
        (
            "evaluate turner half.csv --length-penalty 0.6",
            "length_penalty needs a beam of at least 2",
        ),
        ("decode turner abc --beam 2 --n-best 3", "n_best must be from 1 to the beam's size, 2: got 3"),
        (
            "decode turner abc --beam 2 --temperature 1",
            "a beam of 2 searches; temperature, top_k, top_p and seed are for drawing",
        ),
        ("decode turner abc --prefix \udcff", r'the argument "\udcff" is not UTF-8'),
        ("decode turner ?!", "source 0: all tokens of the source are unknown to the vocabulary"),
        (f"decode turner {'a' * 513}", "source 0: the source has 513 tokens, more than the maximum of 512"),
        ("decode turner --file half.csv", 'half.csv, line 2, column 1 ("source"): the source is empty'),
        ("train half.csv --task translate", 'half.csv, line 2, column 1 ("source"): the source is empty'),
        (
            "evaluate turner half.csv --source target --target more",
            'half.csv, line 3, column 2 ("target"): the source is',
        ),
        ("evaluate turner half.csv --text x", "this run's task is translate, which does not use --text: leave it out"),
        ("evaluate turner --target x", "the run's own test split is read as in training: leave"),
        ("evaluate run --beam 2", "this run's task is classify, which does not use --beam: leave it out"),
        ("train data.csv --task tag", 'data.csv: cannot tell the format from ".csv"'),
        ("train text.txt --task tag --text x", "--text only applies to tasks classify and regress; remove it"),
        ("train data.csv --read lasst", 'Invalid value "lasst" for --read. Choose from: "last", "mean", "max"'),
        ("train data.csv --device cuda", 'device "cuda" is not available here; use cpu'),
        (
            "train data.csv --backend torch --model feedforward",
            "--backend only applies to models elman, lstm, gru, mi",
        ),
        ("train data.csv --backend torch --recurrent-dropout 0.5", 'backend "torch" cannot run here: it needs no rec'),
        ("train data.csv --model feedforward --read last", "model feedforward has no last state to read"),
        (
            "train data.csv --model feedforward --bidirectional",
            "--bidirectional only applies to models elman, l",
        ),
        (
            "train data.csv --model gru --forget-bias 1",
            "--forget-bias only applies to cells lstm, layernorm_",
        ),
        (
            "train data.csv --valid-fraction 0.5 --test-fraction 0.5",
            "valid_fraction and test_fraction must leave something",
        ),
        ("train nothing.csv", "nothing.csv: there is no such file"),
        ("train data.cvs", "data.cvs: there is no such file\n  fix:  did you mean data.csv?"),
        ("train sample:film", 'there is no sample "film" (did you mean "films"?)'),
        ("train data.csv --text txt", 'data.csv, line 1: no column "txt" (did you mean "text"?)'),
        ("train data.csv --text label --label label", 'text and label are both read from "label"'),
        ("train data.csv --config nothing.toml", "nothing.toml cannot be read as a configuration: No such file"),
        ("train data.csv --config typo.toml", 'typo.toml, line 2: unknown setting "hiden_size" (did you mean "hidden'),
        ("train data.csv --out data.csv", "data.csv is a file: choose another --out"),
        ("train data.csv --out run", "run exists already: choose another --out, or --overwrite it"),
        ("train data.csv --out mine --overwrite", "mine is not a run of unrolled, so it is not overwritten"),
        ("train data.csv --out data.csv/x", "data.csv/x cannot be written: Not a directory"),
        ("train --finish data.csv", "--finish ends an interrupted training: use it with --resume RUN"),
        ("train --resume run", "run is finished: there is nothing to resume. To continue from its weights: --from run"),
        ("train --resume nothing", "there is no training to resume: nothing.partial does not exist"),
        (
            "train --resume run --out x",
            "--resume continues in its own folder, with its own weights: remove --out, --over",
        ),
        ("decode nothing x", "nothing does not exist: give the folder of a finished run"),
        ("decode writr x", 'writr does not exist (did you mean "writer"?): give the folder'),
        ("decode data.csv x", "data.csv is a file: give the folder of a finished run"),
        ("decode mine x", "mine is not a finished run: config.json, model.safetensors, run.json, tokenizer.json, SHA"),
        ("decode run x --file data.csv", "pass either texts or --file, not both"),
        ("decode run x --text y", "only --file uses --text: add --file, or remove it"),
        ("decode run --file nothing.csv", "nothing.csv: there is no such file"),
        ("decode run x --temperature 1", "this run's task is classify, which does not use --temperature: leave it out"),
        ("decode run --prompt x", "this run's task is classify, which does not use --prompt: leave it out"),
        ("decode writer x --temperature -1", "temperature must be 0 (greedy), or from 1e-9 to 1e9: got -1.0"),
        ("decode writer x --top-p 0", "top_p must be above 0 and at most 1: got 0.0"),
        ("decode writer x --top-p 1.5", "top_p must be above 0 and at most 1: got 1.5"),
        ("decode writer x --top-k 0 --json", "top_k must be from 1 to 1,000,000,000: got 0"),
        ("decode writer x --length -1", "length must be from 0 to 1,000,000,000: got -1"),
        (f"decode writer x --length 1{'0' * 20}", "length must be from 0 to 1,000,000,000: got 1000000"),
        (
            "decode writer x --temperature 0 --top-p 0.9",
            "at temperature 0 nothing is drawn, so it does not use --top-p",
        ),
        (
            "decode writer fil☃m",
            'prompt 0: the text contains tokens that the run does not know: "☃" (U+2603) at character 4',
        ),
        ("decode writer --file data.csv", "this run's task is generate, which does not use --file: leave it out"),
        ("evaluate writer data.csv", "data.csv: is not a text file by its name"),
        ("evaluate writer --label x", "this run's task is generate, which does not use --label: leave it out"),
        ("train data.csv --task generate", "data.csv: is not a text file by its name"),
        ("train sample:shakespeare", "sample:shakespeare is a sample for task generate, not classify"),
        ("train text.txt", "text.txt: is plain text, not a table"),
        ("train text.txt --task generate --chunk 9999", "text.txt: the training split has "),
        ("train text.txt --task generate --valid-fraction 0", "text.txt: the validation split is empty"),
        ("train latin.txt --task generate", "latin.txt, line 2: byte 0xfc at offset 1 of the line is not UTF-8"),
        (
            "train text.txt --task generate --model feedforward --read mean",
            "--read does not apply to task ge",
        ),
        ("decode run x --device cuda", 'device "cuda" is not available here; use cpu'),
        ("evaluate run", "this run was trained on Python objects, which are not saved"),
        ("evaluate run --label y", "the run's own test split is read as in training"),
        ("evaluate run sample:films", "sample:films, line "),
        ("data nothing.csv", "nothing.csv: there is no such file"),
        ("config --model grux", 'Invalid value "grux" for --model'),
        ("backends --jsn", "Unknown option: --jsn. Did you mean --json?"),
    ],
)
def test_a_refusal_is_one_message_and_changes_nothing(
    arguments: str, message: str, say: Callable[..., Said], folder: Path, data: Path, tmp_path: Path
) -> None:
    (tmp_path / "mine").mkdir()
    text_run().save(tmp_path / "writer")
    translation_run().save(tmp_path / "turner")
    (tmp_path / "half.csv").write_text("source,target,more\n,A,B\na,,B\n")
    write_text(tmp_path / "text.txt")
    (tmp_path / "latin.txt").write_bytes(b"fine\nd\xfcll\n")
    (tmp_path / "mine" / "notes.txt").write_text("mine")
    (tmp_path / "typo.toml").write_text("[model]\nhiden_size = 3\n")
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    assert say(*arguments.split()).refused().startswith(message)
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"text,label\nfine,pos\nd\xfcll,neg\n", r"bad.csv, line 3: byte 0xfc at offset 1 of the line is not UTF-8"),
        ("text,label\nfine\n".encode("utf-16"), "bad.csv, line 2, column 1: 2 fields are expected"),
        (b"text,label\nfine,pos\ndull\n", "bad.csv, line 3, column 1: 2 fields are expected, as in the header; got 1"),
        (b'text,label\nfine,pos\n"dull,neg\n', "bad.csv, line 3: a quote opened in the row that starts here is never"),
        (b"text,kind\nfine,pos\n", 'bad.csv, line 1: no column "label"'),
        (b"text,text,label\na,b,pos\n", 'bad.csv, line 1, column 1: two columns are called "text"'),
        (b"text,label\nfine,pos\n,neg\n", 'bad.csv, line 3, column 1 ("text"): the text is empty'),
        (b"text,label\nfine,\n", 'bad.csv, line 2, column 2 ("label"): the label is empty'),
        (b"text,label\n", "bad.csv: there are no rows"),
        (b"", "bad.csv, line 1: the file is empty"),
        (b"text,label\na,pos\nb,pos\nc,pos\nd,pos\n", "bad.csv: the training split has one class only"),
    ],
)
def test_bad_data_is_refused_with_file_line_and_remedy(
    content: bytes, message: str, say: Callable[..., Said], tmp_path: Path
) -> None:
    (tmp_path / "bad.csv").write_bytes(content)
    said = say("train", "bad.csv", *TINY).refused()
    assert said.startswith(message)
    assert "\n  fix:  " in said
    assert [path.name for path in tmp_path.iterdir()] == ["bad.csv"]


def test_a_damaged_run_is_refused(say: Callable[..., Said], folder: Path) -> None:
    (folder / "model.safetensors").write_bytes((folder / "model.safetensors").read_bytes()[:-1])
    assert "model.safetensors (" in say("decode", folder, "x").refused()
    (folder / "config.json").write_text('{"format_version": 9}')
    assert "has format_version 9, and this unrolled reads up to 3: install a newer" in say("evaluate", folder).refused()


def test_data_whose_columns_are_missing_gets_a_report_and_exit_code_2(say: Callable[..., Said], tmp_path: Path) -> None:
    write_csv(tmp_path / "odd.csv", header="says,is")
    said = say("data", "odd.csv")
    assert said.code == 2
    assert 'likely: --text "says" --label "is"' in said.out
    named = ("data", "odd.csv", "--text", "says", "--label", "is")
    assert say(*named).code == 0
    assert say(*named, "--picture", "odd.svg").code == 0
    assert (tmp_path / "odd.svg").read_text().startswith("<svg ")
    assert say(*named, "--picture", "odd.png").refused().startswith("--picture writes SVG")
    assert "odd/a.svg cannot be written" in say(*named, "--picture", "odd/a.svg").err


def test_standard_input_trains_and_is_not_found_again(
    say: Callable[..., Said], data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stdin.standard_input.cache_clear()
    buffer = io.BytesIO(data.read_bytes())
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=buffer, fileno=buffer.fileno, isatty=lambda: False))
    said = say("train", "-", *TINY)
    assert said.code == 0
    assert "standard input: 60 rows read = 60 used + 0 skipped" in said.err
    stdin.standard_input.cache_clear()
    run = re.search(r"saved: (\S+)", said.out)[1]
    assert run == "runs/input-gru-1"
    assert say("evaluate", run).refused().startswith("this run was trained on standard input, which is not saved")
    assert say("evaluate", run, data).code == 0


def test_config_prints_what_train_reads(say: Callable[..., Said], tmp_path: Path) -> None:
    said = say("config", "--model", "lstm", "--hidden-size", "7", "--no-lowercase")
    (tmp_path / "lstm.toml").write_text(said.out)
    config = from_toml(tmp_path / "lstm.toml")
    assert (config.model.name, config.model.hidden_size, config.data.lowercase) == ("lstm", 7, False)
    assert say("config", "--config", "lstm.toml").out == said.out
    assert json.loads(say("config", "--config", "lstm.toml", "--seed", "3", "--json").out)["training"]["seed"] == 3


def test_settings_go_flag_before_file_before_default(say: Callable[..., Said], data: Path, tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_text("[model]\nname = 'elman'\nhidden_size = 3\nembedding_size = 4\n")
    said = say("train", data, "--config", "a.toml", "--updates", "1", "--hidden-size", "5", "--json", "--quiet")
    config = json.loads(said.out)["config"]
    assert (config["model"]["name"], config["model"]["hidden_size"], config["model"]["embedding_size"]) == (
        "elman",
        5,
        4,
    )
    assert config["training"]["batch_tokens"] == 512


@pytest.mark.parametrize("verb", ["", *VERBS])
def test_help(verb: str, say: Callable[..., Said]) -> None:
    said = say(*verb.split(), "--help")
    assert said.code == 0
    assert said.out.startswith(f"Usage: unrolled {verb}".rstrip())
    words = " ".join(said.out.split())
    if not verb:
        assert tuple(re.findall(r"│ (\w+) ", said.out)) == tuple(VERBS)
    elif verb not in ("backends", "demo"):
        assert f"unrolled {verb} " in words.removeprefix(f"Usage: unrolled {verb}"), "an example"
    if verb in ("decode", "evaluate"):
        assert "Runs of task translate" in said.out
        for name, by_task in options.fields(verb).items():
            assert f"--{name.replace('_', '-')}" in words
            assert " ".join(str(next(iter(by_task.values())).description).split()) in words


def test_the_help_of_some_choice_has_every_setting(say: Callable[..., Said]) -> None:
    choices = ["--task tag", "--task generate --model gpt", "--by row", "--task translate --cell lstm", ""]
    choices += ["--model hybrid"]
    choices += ["--task translate --model attention", "--schedule plateau", "--task classify", "--task regress"]
    words = " ".join(" ".join(say("train", *choice.split(), "--help").out.split()) for choice in choices)
    for _, _, name, field in fields():
        assert f"--{name.replace('_', '-')}" in words
        assert " ".join(str(field.description).split()) in words


def test_the_version(say: Callable[..., Said]) -> None:
    from unrolled import __version__

    assert say("--version").out == f"{__version__}\n"


def test_help_config_and_usage_errors_load_nothing_heavy() -> None:
    done = unrolled_python(
        "import sys\n"
        "from unrolled.cli.main import run\n"
        f"for verb in {tuple(VERBS)}: assert run([verb, '--help']) == 0\n"
        "assert run(['--help']) == run([]) == run(['--version']) == 0\n"
        "assert run(['config', '--json']) == run(['config', '--model', 'lstm']) == 0\n"
        "for wrong in (['tran'], ['train'], ['train', 'x', '--sede', '1'], ['train', 'x', '--clip', '-1'],\n"
        "              ['train', 'x', '--model', 'gpt'], ['decode', 'x', 'y', '--text', 'z'],\n"
        "              ['data', 'missing.csv'], ['train', 'missing.csv'], ['evaluate', 'missing']):\n"
        "    assert run(wrong) == 2\n"
        "heavy = {'torch', 'numpy', 'tokenizers', 'safetensors', 'unrolled.data.reading.formats'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    assert done.returncode == 0, done.stderr.decode()


def unrolled_python(code: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, timeout=60)


def test_completion_is_written_where_asked_and_works(say: Callable[..., Said], tmp_path: Path) -> None:
    script = tmp_path / "completion.bash"
    assert say("--install-completion", "--shell", "bash", "--output", script).code == 0
    assert [path.name for path in tmp_path.iterdir()] == ["completion.bash"], "no startup file is touched"
    asked = f'. {script}; COMP_WORDS=(unrolled train --hidden); COMP_CWORD=2; _unrolled; echo "${{COMPREPLY[@]}}"'
    done = subprocess.run(["bash", "-c", asked], capture_output=True, text=True, timeout=20)
    assert done.stdout.split() == ["--hidden-size"]
    asked = f'. {script}; COMP_WORDS=(unrolled train --model ""); COMP_CWORD=3; _unrolled; echo "${{COMPREPLY[@]}}"'
    done = subprocess.run(["bash", "-c", asked], capture_output=True, text=True, timeout=20)
    assert {"feedforward", "elman", "lstm", "gru"} <= set(done.stdout.split())


def test_text_that_the_terminal_cannot_show(folder: Path) -> None:
    code = (
        "import sys\nfrom unrolled.cli.main import main\n"
        "for more in ([], ['--json']):\n"
        "    try: main(['decode', sys.argv[1], 'é 中 \\\\x', *more])\n"
        "    except SystemExit as left: assert left.code == 0\n"
    )
    plain = {**os.environ, "PYTHONIOENCODING": "ascii", "NO_COLOR": "1"}
    done = subprocess.run([sys.executable, "-c", code, str(folder)], capture_output=True, timeout=60, env=plain)
    assert done.returncode == 0, done.stderr
    line, answer = done.stdout.splitlines()
    assert line.endswith(rb"\xe9 \u4e2d \x")
    assert json.loads(answer)["text"] == "é 中 \\x"
    assert b"\x1b" not in done.stdout + done.stderr


def test_a_reader_that_leaves_early_is_no_error(folder: Path, data: Path) -> None:
    lines = (f"so fine {i}\n" for i in range(20_000))
    (data.parent / "long.csv").write_text("text\n" + "".join(lines))
    ours = f"{sys.executable} -c '{MAIN}' decode {folder} --file {data.parent / 'long.csv'}"
    done = subprocess.run(
        ["bash", "-c", f"{ours} | head -1; echo ${{PIPESTATUS[0]}}"], capture_output=True, text=True, timeout=120
    )
    assert done.stdout.splitlines()[1:] == ["0"]
    assert "Error" not in done.stderr
    help = f"{sys.executable} -c '{MAIN}' train --help | true; echo ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", help], capture_output=True, text=True, timeout=60)
    assert (done.stdout, done.stderr) == ("0\n", "")
