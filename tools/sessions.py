"""Replay the console sessions of the tutorial and the how-to guides, compare each line with the output; run notebooks.

python tools/sessions.py                           # the tutorial, every page of docs/howto/, the notebook
python tools/sessions.py docs/howto/tag-words.md   # some pages
python tools/sessions.py --write                   # put the numbers of this machine into the pages
python tools/sessions.py --files FOLDER            # write the files that the guides use

A session is a block ```console: lines that begin with "$ " are commands, the lines below each are its output. A line
"…" stands for any number of lines, an "…" within a line for any characters, and any number for any other: those of a
training differ between processors. All sessions of a page share one folder, which for a guide begins with the files of
`FILES` that it names. A notebook is run from its first cell to its last.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import itertools
import json
import lzma
import os
import random
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
from safetensors.numpy import save_file
from tokenizers import Tokenizer, models, pre_tokenizers, trainers

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
NOTEBOOK = ROOT / "examples" / "from_data_to_a_look_inside.ipynb"
PAGES = (DOCS / "tutorial.md", *sorted((DOCS / "howto").glob("*.md")), NOTEBOOK)
SAMPLES = ROOT / "src" / "unrolled" / "data" / "samples"
SESSION = re.compile(r"(?<=^```console\n).*?(?=^```$)", re.M | re.S)
ANY = "…"
WITHOUT_US = ("answer_with_onnx.py", "translate_with_onnx.py")
CLAUSES = {
    "delivery": ("the parcel came two weeks late", "nobody told me when it would arrive", "it was left in the rain"),
    "price": ("that is far too expensive", "you charged me twice", "the discount was not subtracted"),
    "quality": ("the handle broke on the first day", "the colour washed out", "one seam is already open"),
    "service": ("your hotline hung up on me", "no one answers my letters", "the chat was friendly but no help"),
}


def table(name: str, split: str, columns: list[str], rows: int, *, every: int = 1) -> Iterator[list[str]]:
    """Yield columns of a number of rows of a sample's split, one of `every`, the header first."""
    yield columns
    with lzma.open(SAMPLES / f"{name}.tsv.xz", "rt", encoding="utf-8") as lines:
        found = (row for row in csv.DictReader(lines, delimiter="\t", quoting=csv.QUOTE_NONE) if row["part"] == split)
        for row in itertools.islice(found, 0, rows * every, every):
            yield [row[column] for column in columns]


def write_table(path: Path, rows: Iterator[list[str]]) -> None:
    """Write a CSV file, or a TSV file where the path ends so."""
    separator = "\t" if path.suffix == ".tsv" else ","
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file, delimiter=separator, lineterminator="\n").writerows(rows)


def complaints(count: int) -> Iterator[dict[str, object]]:
    """Yield made complaints of one to three clauses, with the topics of these as labels."""
    draw = random.Random(0)
    for _ in range(count):
        topics = draw.sample(sorted(CLAUSES), draw.randint(1, 3))
        text = ", and ".join(draw.choice(CLAUSES[topic]) for topic in topics)
        yield {"text": text[0].upper() + text[1:] + ".", "topics": sorted(topics)}


def excerpt(source: str, end: str, size: int) -> str:
    """Return the beginning of a text of the samples, up to the last `end` within `size` characters."""
    with lzma.open(SAMPLES / source, "rt", encoding="utf-8") as file:
        text = file.read(size)
    return text[: text.rindex(end) + len(end)]


def write_images(folder: Path, count: int) -> None:
    """Write the first images of the sample of clothes as PGM files, in a folder for each class."""
    fashion = SAMPLES / "fashion"
    names = (fashion / "labels.txt").read_text(encoding="utf-8").splitlines()
    pixels = gzip.decompress((fashion / "train-images-idx3-ubyte.gz").read_bytes())[16:]
    labels = gzip.decompress((fashion / "train-labels-idx1-ubyte.gz").read_bytes())[8:]
    for k in range(count):
        path = folder / names[labels[k]] / f"{k:03}.pgm"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"P5 28 28 255\n" + pixels[784 * k : 784 * (k + 1)])


def write_text(path: Path, text: str) -> None:
    """Write a text file, its line ends as they are."""
    path.write_text(text, encoding="utf-8", newline="")


def lines(rows: Iterable[object]) -> str:
    """Return rows as lines."""
    return "".join(f"{row}\n" for row in rows)


def write_gpt2(folder: Path) -> None:
    """Write a small GPT-2 with random weights in the layout of Hugging Face; its byte pairs are those of plays."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    learner = Tokenizer(models.BPE())
    learner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    trainer = trainers.BpeTrainer(vocab_size=500, initial_alphabet=alphabet, show_progress=False)
    learner.train_from_iterator(excerpt("shakespeare.train.txt.xz", "\n", 100_000).split("\n"), trainer)
    folder.mkdir()
    learner.model.save(str(folder))  # vocab.json and merges.txt
    ids = json.loads((folder / "vocab.json").read_text(encoding="utf-8"))
    V = len(ids) + 1
    write_text(folder / "vocab.json", json.dumps(ids | {"<|endoftext|>": V - 1}))
    config = {"model_type": "gpt2", "vocab_size": V, "n_positions": 64, "n_embd": 32, "n_layer": 2, "n_head": 2}
    write_text(folder / "config.json", json.dumps(config | {"bos_token_id": V - 1, "eos_token_id": V - 1}))
    shapes: dict[str, tuple[int, ...]] = {"wte.weight": (V, 32), "wpe.weight": (64, 32)}
    for i in range(2):
        for name, width in (("attn.c_attn", 96), ("attn.c_proj", 32), ("mlp.c_fc", 128)):
            shapes |= {f"h.{i}.{name}.weight": (32, width), f"h.{i}.{name}.bias": (width,)}
        shapes |= {f"h.{i}.mlp.c_proj.weight": (128, 32), f"h.{i}.mlp.c_proj.bias": (32,)}
    norms = ["ln_f", *(f"h.{i}.ln_{k}" for i in range(2) for k in (1, 2))]
    draw = np.random.default_rng(0)
    weights = {name: draw.normal(0, 0.1, shape).astype(np.float32) for name, shape in shapes.items()}
    for norm in norms:
        weights |= {f"{norm}.weight": np.ones(32, np.float32), f"{norm}.bias": np.zeros(32, np.float32)}
    save_file(weights, folder / "model.safetensors")


def write_network(folder: Path) -> None:
    """Write weights, words and labels of a small classifier of films that plain torch.nn has trained."""
    import torch
    from torch import nn
    from torch.nn.utils.rnn import pack_sequence

    torch.manual_seed(0)
    rows = [*table("films", "train", ["text", "label"], 2000, every=4)][1:]
    texts = [re.findall(r"\w+|[^\w\s]", text.lower())[:40] for text, _ in rows]
    common = Counter(itertools.chain.from_iterable(texts)).most_common(1500)
    words, labels = ["<pad>", "<unk>", *(word for word, _ in common)], sorted({label for _, label in rows})
    ids = {word: i for i, word in enumerate(words)}
    embedding, gru, linear = nn.Embedding(len(words), 32, padding_idx=0), nn.GRU(32, 32), nn.Linear(32, len(labels))
    network = nn.ModuleDict({"embedding": embedding, "gru": gru, "linear": linear})
    optimizer = torch.optim.Adam(network.parameters(), 5e-3)
    inputs = [torch.tensor([ids.get(word, 1) for word in text]) for text in texts]
    targets = torch.tensor([labels.index(label) for _, label in rows])
    for batch in torch.randperm(len(rows)).repeat(3).split(50):
        _, h = gru(pack_sequence([embedding(inputs[i]) for i in batch], enforce_sorted=False))
        nn.functional.cross_entropy(linear(h[-1]), targets[batch]).backward()
        optimizer.step()
        optimizer.zero_grad()
    folder.mkdir()
    save_file({name: value.numpy() for name, value in network.state_dict().items()}, folder / "weights.safetensors")
    write_text(folder / "words.txt", lines(words))
    write_text(folder / "labels.txt", lines(labels))


FILES: dict[str, Callable[[Path], None]] = {
    "reviews.csv": lambda path: write_table(path, table("films", "train", ["text", "label"], 3000, every=3)),
    "new.csv": lambda path: write_table(path, table("films", "test", ["text", "label"], 200, every=2)),
    "ratings.csv": lambda path: write_table(path, table("films", "train", ["text", "rating"], 3000, every=3)),
    "words.tsv": lambda path: write_table(path, table("letters", "train", ["word", "phonemes"], 10_000, every=12)),
    "texts.txt": lambda path: write_text(
        path, lines(row[0] for row in [*table("films", "test", ["text"], 3, every=180)][1:])
    ),
    "complaints.jsonl": lambda path: write_text(path, lines(map(json.dumps, complaints(1500)))),
    "play.txt": lambda path: write_text(path, excerpt("shakespeare.train.txt.xz", "\n", 300_000)),
    "tagged.conllu": lambda path: write_text(path, excerpt("tags.train.conllu.xz", "\n\n", 1_500_000)),
    "tiny-gpt2": write_gpt2,
    "film-network": write_network,
    "clothes": lambda path: write_images(path, 600),
    **{name: partial(shutil.copyfile, ROOT / "examples" / name) for name in WITHOUT_US},
}
"""The files that the guides use: parts of the samples, made complaints, examples, a GPT-2, a network of torch.nn."""


def masked(line: str) -> str:
    """Return a line without its numbers and the widths of its columns."""
    return re.sub(r"\s+", " ", re.sub(r"[-−]?\d+(?:[.,]\d+)*", "0", line)).strip()


def same(shown: str, line: str) -> bool:
    """Return whether a line of a page stands for a line of an output."""
    pattern = ".*".join(map(re.escape, masked(shown).split(ANY)))
    return re.fullmatch(pattern, masked(line)) is not None


def aligned(shown: list[str], output: list[str]) -> list[str] | None:
    """Return the shown lines with the numbers of the output; None where they differ otherwise."""
    if not shown:
        return None if output else []
    if shown[0] == ANY:
        for skipped in range(len(output) + 1):
            rest = aligned(shown[1:], output[skipped:])
            if rest is not None:
                return [ANY, *rest]
        return None
    if not output or not same(shown[0], output[0]):
        return None
    rest = aligned(shown[1:], output[1:])
    return None if rest is None else [shown[0] if ANY in shown[0] else output[0], *rest]


def commands(session: str) -> Iterator[tuple[str, list[str]]]:
    """Yield each command of a session with the lines of its output; `\\` at the end of a line continues a command."""
    for part in re.split(r"^\$ ", session, flags=re.M)[1:]:
        command = re.match(r"(?:.*\\\n)*.*", part)[0]
        yield command, part[len(command) + 1 :].splitlines()


def run(command: str, folder: Path) -> list[str]:
    """Return the lines that a command prints in a folder, errors included."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = {
        **os.environ,
        "PATH": path,
        "COLUMNS": "100",
        "LC_ALL": "C.UTF-8",
        "XDG_CACHE_HOME": str(folder / ".cache"),
    }
    done = subprocess.run(
        ["bash", "-c", command],
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    return done.stdout.rstrip("\n").splitlines()


def replay(page: Path, *, write: bool) -> bool:
    """Run the sessions of a page; return whether each output is the one that the page shows."""
    text, good = page.read_text(encoding="utf-8"), True
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for file, write_file in FILES.items():
            if page.resolve() in PAGES and file in text:
                write_file(folder / file)
        for session in SESSION.findall(text):
            fresh = ""
            for command, shown in commands(session):
                output = run(command, folder)
                found = aligned(shown, output)
                if found is None:
                    good = False
                    print(f"{page.name}: $ {command}\n  shown:", *shown, "  printed:", *output, sep="\n  ")
                fresh += "".join(f"{line}\n" for line in [f"$ {command}", *(shown if found is None else found)])
            if write:
                text = text.replace(session, fresh)
    if write:
        page.write_text(text, encoding="utf-8")
    return good


def run_notebook(path: Path, *, write: bool) -> bool:
    """Run a notebook in an empty folder; return whether all of its cells end without an error."""
    import nbformat
    from nbclient import NotebookClient
    from nbclient.exceptions import CellExecutionError

    notebook = nbformat.read(path, as_version=4)
    with tempfile.TemporaryDirectory() as folder:
        try:
            NotebookClient(notebook, timeout=600, resources={"metadata": {"path": folder}}).execute()
        except CellExecutionError as error:
            print(f"{path.name}: {error}")
            return False
    if write:
        for cell in notebook.cells:
            cell.metadata.pop("execution", None)  # times of day
            if cell.cell_type == "code":
                cell.outputs = [each for each in cell.outputs if each.get("name") != "stderr"]
        nbformat.write(notebook, path)
    return True


def main() -> int:
    """Replay pages, or write the files that they use."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pages", nargs="*", type=Path, default=PAGES)
    parser.add_argument("--write", action="store_true")
    parser.add_argument("--files", type=Path)
    options = parser.parse_args()
    if options.files:
        options.files.mkdir(parents=True, exist_ok=True)
        for file, write_file in FILES.items():
            write_file(options.files / file)
        return 0

    def check(page: Path) -> bool:
        begun = time.perf_counter()
        good = (run_notebook if page.suffix == ".ipynb" else replay)(page, write=options.write)
        print(f"{'as shown' if good else 'DIFFERS '}  {page.name}, {time.perf_counter() - begun:.0f} s", flush=True)
        return good

    with ThreadPoolExecutor(os.cpu_count()) as pool:  # each page waits for processes of its own
        return 0 if all([*pool.map(check, options.pages)]) else 1


if __name__ == "__main__":
    sys.exit(main())
