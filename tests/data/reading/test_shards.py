import bz2
import gzip
import lzma
import random
from pathlib import Path

import pytest

import unrolled
from unrolled.config import DataConfig, from_flat
from unrolled.data.examples.labelled import load_examples
from unrolled.data.examples.pairs import load_pairs
from unrolled.data.reading.addresses import is_pattern
from unrolled.data.splits.labelled import load_splits
from unrolled.errors import DataError
from unrolled.runs.recorded import sums_of

CONFIG = DataConfig()
PACK = {"": bytes, ".gz": gzip.compress, ".xz": lzma.compress, ".bz2": bz2.compress}


def line(i: int) -> str:
    return f'{{"text": "text {i}", "label": "{"ab"[i % 2]}"}}\n'


def write(folder: Path, *sizes: int, packing: str = "") -> Path:
    """Shards of JSON lines, numbered from 0 on, written in another order than that of their names."""
    folder.mkdir(exist_ok=True)
    ends = [sum(sizes[: k + 1]) for k in range(len(sizes))]
    for k in random.Random(0).sample(range(len(sizes)), len(sizes)):
        rows = "".join(map(line, range(ends[k] - sizes[k], ends[k])))
        (folder / f"part-{k}.jsonl{packing}").write_bytes(PACK[packing](rows.encode()))
    return folder


@pytest.mark.parametrize("packing", PACK)
def test_a_folder_and_a_pattern_are_one_table(tmp_path, packing):
    folder = write(tmp_path / "in", 3, 1, 4, packing=packing)
    (folder / "_SUCCESS").touch()
    (folder / ".part.crc").touch()
    for data in (folder, str(folder), f"{folder}/part-*", f"{tmp_path}/**/*.jsonl{packing}", folder / "part-[0-9].*"):
        examples = load_examples(data, CONFIG)
        assert list(examples.texts()) == [f"text {i}" for i in range(8)]
        assert [item.line for item in examples.items] == [1, 2, 3, 1, 1, 2, 3, 4]
        assert [Path(item.file).name[5] for item in examples.items] == [*"00012222"]
        assert (examples.name, examples.source) == (("in" if "**" not in str(data) else "**"), str(data))
        assert str(examples.counts) == "8 rows read = 8 used + 0 skipped"


def test_they_split_as_one_file_does(tmp_path):
    folder = write(tmp_path / "in", 40, 30, 30)
    whole = tmp_path / "whole.jsonl"
    whole.write_text("".join(map(line, range(100))))
    one, many = load_splits(whole, CONFIG), load_splits(folder, CONFIG)
    for name, split in many.named().items():
        assert list(split.texts()) == list(one.named()[name].texts())
        assert split.fingerprint == one.named()[name].fingerprint


def test_parquet_and_csv(tmp_path):
    arrow, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    for k in range(2):
        table = {"text": [f"text {2 * k}", f"text {2 * k + 1}"], "label": ["a", "b"]}
        parquet.write_table(arrow.table(table), tmp_path / f"{k}.parquet")
    assert list(load_examples(tmp_path / "*.parquet", CONFIG).texts()) == [f"text {i}" for i in range(4)]
    (tmp_path / "0.csv").write_text("text,label\nx,a\n")
    (tmp_path / "1.csv").write_text("label,text\nb,y\n")
    assert load_examples(tmp_path / "*.csv", CONFIG).items[:] == [
        ("x", "a", 2, str(tmp_path / "0.csv")),
        ("y", "b", 2, str(tmp_path / "1.csv")),
    ]
    with pytest.raises(DataError, match=r"0.parquet: is parquet, and the first shard, 0.csv, is csv"):
        load_examples(tmp_path, CONFIG)


def test_pairs(tmp_path):
    for k in range(2):
        (tmp_path / f"{k}.tsv").write_text(f"source\ttarget\ns{k}\tt{k}\n")
    pairs = load_pairs(tmp_path, from_flat({"task": "translate"}).data)
    assert [(pair.source, pair.target, Path(pair.file).name) for pair in pairs.items] == [
        ("s0", "t0", "0.tsv"),
        ("s1", "t1", "1.tsv"),
    ]


def test_errors_name_the_shard(tmp_path):
    folder = write(tmp_path / "in", 3, 3)
    (folder / "part-1.jsonl").write_text(line(3) + '{"text": "", "label": "a"}\n')
    with pytest.raises(DataError, match=r"part-1.jsonl, line 2.*the text is empty"):
        load_examples(folder, CONFIG)
    skipping = CONFIG.model_copy(update={"on_bad_row": "skip"})
    (skipped,) = load_examples(folder, skipping).skipped
    assert skipped.position == f"{folder / 'part-1.jsonl'}, line 2"
    (folder / "part-1.jsonl").write_text(line(3) + '{"text": "text z", "label": "new"}\n')
    with pytest.raises(DataError, match=r'part-1.jsonl, line 2.*\n?.*"new" is not one of'):
        load_splits(write(tmp_path / "train", 60), CONFIG.model_copy(update={"valid": str(folder / "*.jsonl")}))


def test_bad_shards(tmp_path):
    (tmp_path / "0.csv").write_text("text,label\nx,a\n")
    (tmp_path / "1.csv").write_text("text,label,more\ny,b,c\n")
    with pytest.raises(DataError, match=r'1.csv: does not have the columns of the first shard, 0.csv: "more" is in'):
        load_examples(tmp_path, CONFIG)
    with pytest.raises(DataError, match="no file matches this pattern"):
        load_examples(tmp_path / "*.parquet", CONFIG)
    torn = write(tmp_path / "torn", 3, 900, packing=".gz")
    whole = (torn / "part-1.jsonl.gz").read_bytes()
    (torn / "part-1.jsonl.gz").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError, match=r"part-1.jsonl.gz: the compressed data is damaged or truncated"):
        load_examples(torn, CONFIG)


def test_a_shard_that_vanishes_while_others_are_read(tmp_path):
    from unrolled.data.reading.sources import open_source

    folder = write(tmp_path / "in", 2, 2)
    rows = open_source(folder, "classify").rows(("text",))
    next(rows)
    (folder / "part-1.jsonl").unlink()
    with pytest.raises(DataError, match=r"part-1.jsonl: there is no such file"):
        list(rows)


def test_the_sum_of_shards(tmp_path):
    folder = write(tmp_path / "in", 3, 2)
    (of_folder,), (of_pattern,) = sums_of(folder, CONFIG), sums_of(f"{folder}/*.jsonl", CONFIG)
    assert of_folder["sha256"] == of_pattern["sha256"]
    assert of_folder["files"] == 2
    (folder / "part-1.jsonl").write_text(line(9))
    assert sums_of(folder, CONFIG) != [of_folder]


def test_training_of_shards(tmp_path):
    folder = write(tmp_path / "in", 60, 60)
    settings = {"model": "gru", "hidden_size": 4, "updates": 2, "evaluate_every": 2, "baseline": False}
    run = unrolled.train(f"{folder}/*.jsonl", **settings, out=tmp_path / "run")
    assert run.record["data"]["source"] == f"{folder}/*.jsonl"
    assert unrolled.load(tmp_path / "run").evaluate().n == run.test.n
    assert "2 shards" in "\n".join(unrolled.inspect(folder).lines())


def test_a_file_whose_name_looks_like_a_pattern(tmp_path):
    path = tmp_path / "data[1].jsonl"
    path.write_text(line(0) + line(1))
    assert not is_pattern(str(path))
    assert len(load_examples(path, CONFIG)) == 2
