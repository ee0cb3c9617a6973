"""The documents say what is so: links, code, tables, flags and paths."""

import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from unrolled.atomic import SUMS
from unrolled.cli.main import VERBS, app
from unrolled.config import DataConfig
from unrolled.data.splits.labelled import load_splits
from unrolled.lineage import LINEAGE
from unrolled.version import __version__

ROOT = Path(__file__).parents[1]
PAGES = sorted(
    path
    for path in [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "examples").rglob("*.md")]
    if "node_modules" not in path.parts
)
BLOCKS = [
    pytest.param(code, id=f"{path.relative_to(ROOT)}-{number}")
    for path in PAGES
    for number, code in enumerate(re.findall(r"^```python\n(.*?)^```", path.read_text(encoding="utf-8"), re.M | re.S))
]


def named(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_links_lead_somewhere(page: Path) -> None:
    text = re.sub(r"^```.*?^```|`[^`\n]*`", "", page.read_text(encoding="utf-8"), flags=re.M | re.S)
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if not re.match(r"[a-z]+:", target):
            file, _, heading = target.partition("#")
            found = (page.parent / file).resolve() if file else page
            assert found.exists(), target
            if heading:
                headings = re.findall(r"^#+ (.+)$", found.read_text(encoding="utf-8"), re.M)
                slugs = [re.sub(r"[^\w\- ]", "", line.lower()).replace(" ", "-") for line in headings]
                assert heading in slugs, target


@pytest.mark.parametrize("code", BLOCKS)
def test_its_code_runs(code: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    exec(compile(code, "block", "exec"), {"__name__": "block"})


@pytest.mark.parametrize("code", [block for block in BLOCKS if str(block.id).startswith("docs/lineage")])
def test_the_output_of_the_lineages_code_is_below_it(
    code: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    exec(compile(code, "block", "exec"), {"__name__": "block"})
    for line in capsys.readouterr().out.splitlines():
        assert f"# {line}" in code


NO_PROSE = r"""(?msx) ^\#\#\ The\ paper\n.* | ^```.*?^``` | ^\$\$.*?^\$\$ | \$[^$\n]+\$ | `[^`\n]*` |
    !?\[[^]]*\]\([^)]*\) | ^[#|][^\n]*"""
GLOSSARY = re.findall(r"^### (.+)$", (ROOT / "docs" / "glossary.md").read_text(encoding="utf-8"), re.M)


@pytest.mark.parametrize("page", [page for page in PAGES if page.parent.name == "lineage"], ids=named)
def test_words_of_the_glossary_are_linked_where_they_are_first_used(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    prose = re.sub(NO_PROSE, lambda match: " " * len(match[0]), text)
    for word in sorted(GLOSSARY, key=len, reverse=True):  # "update gate" before "update"
        form = re.compile(rf"(?<![\w-]){word.removesuffix('s')}(?:s|es)?(?![\w-])", re.I)
        uses = [match.start() for match in form.finditer(prose)]
        prose = form.sub(lambda match: " " * len(match[0]), prose)
        link = text.find(f"(../glossary.md#{word.lower().replace(' ', '-')})")
        assert not uses or 0 <= link < uses[0], word


DESCRIBED = [
    pytest.param(words, page.parent / target, id=f"{page.relative_to(ROOT)}-{Path(target).stem}")
    for page in PAGES
    for words, target in re.findall(r"^!\[([^]]*)\]\(([^)]*\.svg)\)", page.read_text(encoding="utf-8"), re.M)
]


@pytest.mark.parametrize(("words", "picture"), DESCRIBED)
def test_numbers_of_an_alt_text_stand_in_its_picture(words: str, picture: Path) -> None:
    drawn = re.findall(r"[+−]?\d+(?:\.\d+)?", " ".join(re.findall(r">([^<]+)<", picture.read_text(encoding="utf-8"))))
    numbers = {number.lstrip("+") for number in drawn}
    assert not [n for n in re.findall(r"[+−]?\d+(?:\.\d+)?", words) if n.lstrip("+") not in numbers]


def test_the_tutorials_count_of_negated_sentences() -> None:
    texts = load_splits("sample:films", DataConfig()).train.texts()
    words = (ROOT / "docs" / "tutorial.md").read_text(encoding="utf-8")
    negated = sum(bool(re.search(r"\bnot an?\b", text)) for text in texts)
    assert f"of its {len(texts):,} training sentences only {negated} contain *not a* or *not an*" in words


EQUATIONS = [
    pytest.param(latex, id=f"{path.relative_to(ROOT)}-{number}")
    for path in PAGES
    for number, latex in enumerate(
        re.findall(
            r"^\$\$\n(.*?)^\$\$|\$([^$\n]+)\$",
            re.sub(r"(?ms)^```.*?^```|`[^`\n]*`", "", path.read_text("utf-8")),
            re.M | re.S,
        )
    )
]


@pytest.mark.parametrize("latex", EQUATIONS)
def test_an_equation_is_typeset_whole(latex: tuple[str, str]) -> None:
    convert = pytest.importorskip("latex2mathml.converter").convert
    mathml = convert("".join(latex).replace("{aligned}", "{align*}"))  # as docs/_ext/mathml.py does
    assert not re.search(r">(&|&amp;|\\[^<]*)</", mathml), "a command or an alignment that it does not know"


def rows(page: Path) -> list[list[str]]:
    """The cells of the first table with a row of the lineage in it, without links and marks."""
    found = []
    for line in page.read_text(encoding="utf-8").splitlines():
        if line.startswith("|") and re.search(r"\| (19|20)\d\d \|", line):
            plain = re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", line).replace("`", "")
            found.append([cell.strip() for cell in plain.strip("|").split("|")])
    return found


@pytest.mark.parametrize("page", [ROOT / "README.md", ROOT / "docs" / "lineage" / "README.md"], ids=named)
def test_the_table_of_the_lineage_is_the_lineage(page: Path) -> None:
    table = rows(page)
    assert len(table) == len(LINEAGE)
    for architecture, cells in zip(LINEAGE, table, strict=True):
        name, *rest = cells if not cells[0].isdigit() else cells[1:]
        assert re.sub(r"[\s(),]+", " ", name).strip() == architecture.name
        assert rest == [str(architecture.year), architecture.adds, architecture.cannot, architecture.source]


@pytest.mark.parametrize("architecture", LINEAGE, ids=lambda architecture: architecture.name)
def test_an_architecture_has_its_page(architecture) -> None:
    assert (ROOT / "docs" / "lineage" / f"{architecture.name}.md").is_file()


TORCHRUN = {"--standalone", "--nnodes", "--nproc-per-node", "--rdzv-backend", "--rdzv-endpoint", "--max-restarts"}


def flags() -> set[str]:
    """Every flag of the command line."""
    found = {"--help", "--version", "--install-completion"}
    for verb in VERBS:
        for argument in app[verb].assemble_argument_collection():
            found.update(name for name in argument.names if name.startswith("--"))
    return found


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_flags_that_are_named_are_there(page: Path) -> None:
    ours = re.sub(r"\.py [^`\n]*", "", page.read_text(encoding="utf-8"))  # a script has flags of its own
    mentioned = set(re.findall(r"(?<![\w-])--[a-z][a-z-]*", ours))
    assert mentioned <= flags() | TORCHRUN


@pytest.mark.parametrize("page", [page for page in PAGES if page.parent == ROOT], ids=named)
def test_paths_that_are_named_are_there(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    for path in re.findall(r"`((?:src|tests|docs|examples|benchmarks|experiments|\.ci)/[\w./-]*)`", text):
        assert (ROOT / path).exists(), path


def test_the_files_of_a_run_are_those_of_its_page() -> None:
    page = (ROOT / "docs" / "runs.md").read_text(encoding="utf-8")
    assert re.findall(r"^\| `([\w.]+)` \|", page, re.M) == [
        "config.json", "model.safetensors", "tokenizer.json", "metrics.jsonl", "run.json", "README.md", SUMS,
    ]  # fmt: skip


def test_the_citation_is_of_this_version() -> None:
    cited = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    assert re.findall(r"^version: (.+)$", cited, re.M) == [__version__]


def test_nothing_names_the_machine_it_was_written_on() -> None:
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"], cwd=ROOT, capture_output=True, text=True
    )
    if listed.returncode:
        pytest.skip("not a git checkout")
    for name in listed.stdout.splitlines():
        path = ROOT / name
        if path.suffix in (".md", ".py", ".toml", ".json") and path.is_file() and path != Path(__file__):
            assert not re.search(r"/(work|root|home)/\w", path.read_text(encoding="utf-8")), name


def test_the_figures_are_those_of_the_benchmarks() -> None:
    done = subprocess.run(
        [sys.executable, str(ROOT / "benchmarks" / "readme.py"), "--check"], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


def commands(page: Path) -> Iterator[list[str]]:
    """The arguments of every call of unrolled in the blocks of a page that are not Python."""
    blocks = re.findall(r"^```(?:console|sh)?\n(.*?)^```", page.read_text(encoding="utf-8"), re.M | re.S)
    for line in "\n".join(blocks).replace("\\\n", "").splitlines():
        if re.match(r"\$ |unrolled |(?:z?cat|head) ", line):
            for part in re.findall(r"""(?:"[^"]*"|'[^']*'|[^|<>;&#"'])+""", line.removeprefix("$ ")):
                if call := re.match(r" *(?:timeout -s \w+ \d+ )?unrolled (.+)", part):
                    yield shlex.split(call[1])


@pytest.mark.parametrize("page", [page for page in PAGES if any(commands(page))], ids=named)
def test_its_commands_are_understood(page: Path) -> None:
    for arguments in commands(page):
        if arguments[0] not in ("--install-completion", "--help"):
            app.parse_args(arguments, exit_on_error=False, print_error=False)


def test_sessions_are_compared_line_by_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(ROOT / "tools")
    import sessions

    output = ["reading", "accuracy  70.1 %", "saved: runs/a"]
    assert sessions.aligned(["…", "accuracy   9.5 %", "…"], output) == ["…", "accuracy  70.1 %", "…"]
    assert sessions.aligned(["…", "saved: …"], output) == ["…", "saved: …"]
    assert sessions.aligned(["…", "kept: runs/a"], output) is None
    assert sessions.aligned(["reading", "accuracy  1 %"], output) is None
    assert [*sessions.commands("$ a \\\n  -b\none\ntwo\n$ c\n")] == [("a \\\n  -b", ["one", "two"]), ("c", [])]


@pytest.mark.parametrize(
    "page",
    [
        page
        for page in PAGES
        if page.parent.name != "howto" and page.name != "tutorial.md" and "```console" in page.read_text("utf-8")
    ],
    ids=named,
)
def test_a_quoted_message_is_the_one_that_is_printed(page: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(ROOT / "tools")
    import sessions

    assert sessions.replay(page, write=False)


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_messages_are_quoted_in_sessions_only(page: Path) -> None:
    """A message in any other block would not be compared with the program's."""
    others = re.sub(r"^```console\n.*?^```", "", page.read_text(encoding="utf-8"), flags=re.M | re.S)
    assert not re.findall(r"^(?:unrolled: |  fix:  ).*", others, re.M)
