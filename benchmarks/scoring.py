"""Answers for files: kills, cores, memory, and the same file by Ray and by Spark; in JSON.

    python benchmarks/scoring.py [kills cores memory engines] [--kills 100] [--rows 400000] [--rounds 3]

A GRU of 64 units, trained on sample:films for 120 updates, answers texts of 3 to 40 words.

kills    One of the two workers of the command, or the command itself, is killed by SIGKILL after a random time, again
         and again; the command is begun again until it ends; then every output is compared with that of an undisturbed
         one, byte by byte. All of this until there are enough kills.
cores    One worker on one core compared with two on two (taskset), in turn: seconds, and CPU seconds of all processes.
memory   The highest resident set of the command and of its workers, for rows and for eight times as many.
engines  The same Parquet file by the command, by a local Ray and by a local Spark with two workers each: the answers,
         and the seconds after a first, smaller call, in which Ray and Spark start their workers and load the run; the
         command starts its own each time. Needs both (extras ray and spark; `make scoring`).
"""

from __future__ import annotations

import argparse
import json
import os
import random
import resource
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from record import save_part

import unrolled

WORDS = "the film was good bad warm thin plot a of and it story slow funny never boring loved every minute"
UNROLLED = [sys.executable, "-c", "from unrolled.cli.main import main; main()"]
PARTS = ("kills", "cores", "memory", "engines")


def texts(rows: int, seed: int) -> list[str]:
    """Return different texts of 3 to 40 words."""
    draw = random.Random(seed)
    return [f"{i} {' '.join(draw.choices(WORDS.split(), k=draw.randint(3, 40)))}" for i in range(rows)]


def write(path: Path, rows: int, seed: int = 0) -> Path:
    """Write texts with numbers, as JSON lines or Parquet."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".parquet":
        import pyarrow as pa
        from pyarrow import parquet

        parquet.write_table(pa.table({"id": range(rows), "text": texts(rows, seed)}), path)
        return path
    lines = (json.dumps({"id": i, "text": text}) for i, text in enumerate(texts(rows, seed)))
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return path


def command(run: Path, source: Path, out: Path, workers: int) -> list[str]:
    """Return the command that answers a file or folder."""
    return [
        *UNROLLED,
        "decode",
        f"{run}",
        "--file",
        f"{source}",
        "--out",
        f"{out}",
        "--workers",
        f"{workers}",
        "--json",
    ]


def outputs(out: Path) -> dict[str, bytes]:
    """Return the files of the answers, by name."""
    files = (path for path in out.rglob("*") if path.is_file() and "_unrolled" not in path.parts)
    return {path.relative_to(out).as_posix(): path.read_bytes() for path in files}


def children(process: int) -> list[int]:
    """Return the processes that a process has started."""
    try:
        found = Path(f"/proc/{process}/task/{process}/children").read_text(encoding="ascii")
    except OSError:  # it has ended
        return []
    return [int(each) for each in found.split()]


def kills(run: Path, folder: Path, options: argparse.Namespace) -> dict[str, Any]:
    """Kill, begin again, compare."""
    sizes = [9_000, *[1_000] * 6]
    for i, rows in enumerate(sizes):
        write(folder / "in" / f"{i}.jsonl", rows, i)
    alone, out = folder / "alone", folder / "out"
    began = time.monotonic()
    subprocess.run(command(run, folder / "in", alone, 2), check=True, capture_output=True)
    seconds, expected = time.monotonic() - began, outputs(alone)
    for i, rows in enumerate(sizes):
        assert [json.loads(line)["id"] for line in expected[f"{i}.jsonl"].splitlines()] == list(range(rows))
    draw = random.Random(0)
    found = {"killed_commands": 0, "killed_workers": 0, "gave_up_after_two_killed_workers": 0}
    found |= {"works": 0, "identical": 0, "rows_of_a_work": sum(sizes)}
    while True:
        began, fresh = time.monotonic(), not out.exists()
        process = subprocess.Popen(
            command(run, folder / "in", out, 2), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        while process.poll() is None:
            _strike(process, draw, draw.uniform(0, seconds / 2), found)
        if process.returncode == 0:
            seconds = min(seconds, time.monotonic() - began) if fresh else seconds
            found["works"] += 1
            found["identical"] += outputs(out) == expected
            shutil.rmtree(out)
            print(found, flush=True)
            if found["killed_commands"] + found["killed_workers"] >= options.kills:
                return found
        elif process.returncode != -signal.SIGKILL:
            assert process.returncode == 2, process.returncode
            found["gave_up_after_two_killed_workers"] += 1


def _strike(process: subprocess.Popen[bytes], draw: random.Random, seconds: float, found: dict[str, int]) -> None:
    """Wait, then kill a worker of a command that is not finished, or one time in three the command."""
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        workers = children(process.pid)
        if workers and draw.random() < 2 / 3:
            found["killed_workers"] += _killed(draw.choice(workers))
        else:
            found["killed_commands"] += _killed(process.pid)
            process.wait()


def _killed(process: int) -> bool:
    try:
        os.kill(process, signal.SIGKILL)
    except ProcessLookupError:
        return False
    return True


def cores(run: Path, folder: Path, options: argparse.Namespace) -> dict[str, Any]:
    """Compare one worker on one core with two on two."""
    source = write(folder / "in.jsonl", options.rows)
    first, second, *_ = sorted(os.sched_getaffinity(0))
    found: dict[int, list[tuple[float, float]]] = {1: [], 2: []}
    for _ in range(options.rounds):
        for workers, pinned in ((1, f"{first}"), (2, f"{first},{second}")):
            before = resource.getrusage(resource.RUSAGE_CHILDREN)
            done = subprocess.run(
                ["taskset", "-c", pinned, *command(run, source, folder / "out", workers)],
                check=True,
                capture_output=True,
                text=True,
            )
            after = resource.getrusage(resource.RUSAGE_CHILDREN)
            cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
            found[workers].append((json.loads(done.stdout)["seconds"], cpu))
            print(workers, found[workers][-1], flush=True)
            shutil.rmtree(folder / "out")
    pairs = list(zip(found[1], found[2], strict=True))
    return {
        "rows": options.rows,
        "seconds_one_and_two": [[one[0], two[0]] for one, two in pairs],
        "cpu_seconds_one_and_two": [[round(one[1], 2), round(two[1], 2)] for one, two in pairs],
        "times_faster": round(statistics.median(one[0] / two[0] for one, two in pairs), 3),
        "times_faster_by_cpu_seconds": round(statistics.median(2 * one[1] / two[1] for one, two in pairs), 3),
        "load_average": os.getloadavg()[0],
    }


def memory(run: Path, folder: Path, options: argparse.Namespace) -> dict[str, Any]:
    """Measure the highest resident sets."""
    found = {}
    for rows in (options.rows // 8, options.rows):
        source = write(folder / f"{rows}.jsonl", rows)
        process = subprocess.Popen(command(run, source, folder / f"out{rows}", 2), stdout=subprocess.DEVNULL)
        peaks = {"command": 0, "worker": 0}
        while process.poll() is None:
            workers = children(process.pid)
            peaks["command"] = max(peaks["command"], _peak(process.pid))
            peaks["worker"] = max([peaks["worker"], *map(_peak, workers)])
            time.sleep(0.05)
        assert process.returncode == 0
        found[f"{rows:,} rows, {source.stat().st_size:,} bytes"] = peaks
    return {"most_bytes": found}


def _peak(process: int) -> int:
    try:
        status = Path(f"/proc/{process}/status").read_text(encoding="utf-8")
    except OSError:
        return 0
    return int(status.split("VmHWM:")[1].split()[0]) * 1024 if "VmHWM:" in status else 0


def engines(run: Path, folder: Path, options: argparse.Namespace) -> dict[str, Any]:
    """Answer one file by the command, by Ray and by Spark."""
    source, small = write(folder / "in" / "in.parquet", options.rows), write(folder / "small" / "in.parquet", 5_000)
    ways = {"unrolled": _ours(run, folder), "ray": _ray(run), "spark": _spark(run)}
    answers, seconds = {}, {}
    for name, way in ways.items():
        way(small)
        began = time.perf_counter()
        answers[name] = sorted(way(source))
        seconds[name] = round(time.perf_counter() - began, 2)
        print(name, seconds[name], flush=True)
    ours = answers["unrolled"]
    return {
        "rows": options.rows,
        "seconds": seconds,
        "same_ids_and_labels": {name: [a[:2] for a in each] == [a[:2] for a in ours] for name, each in answers.items()},
        "largest_difference_of_a_probability": {
            name: max(abs(a[2] - b[2]) for a, b in zip(each, ours, strict=True)) for name, each in answers.items()
        },
        "load_average": os.getloadavg()[0],
    }


Way = Callable[[Path], list[tuple[int, str, float]]]


def _ours(run: Path, folder: Path) -> Way:
    from pyarrow import parquet

    def answer(source: Path) -> list[tuple[int, str, float]]:
        out = folder / f"out-{source.parent.name}"
        subprocess.run(command(run, source, out, 2), check=True, capture_output=True)
        return _rows(parquet.read_table(out / source.name).to_pylist())

    return answer


def _ray(run: Path) -> Way:
    import ray

    import unrolled.ray

    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level="error")
    ray.data.DataContext.get_current().enable_progress_bars = False

    def answer(source: Path) -> list[tuple[int, str, float]]:
        rows = ray.data.read_parquet(str(source)).repartition(8)
        return _rows(
            rows.map_batches(unrolled.ray.Decode(run), batch_format="pyarrow", batch_size=4096)
            .select_columns(["id", "label", "probability"])
            .take_all()
        )

    return answer


def _spark(run: Path) -> Way:
    os.environ["PYSPARK_PYTHON"] = sys.executable
    from pyspark.sql import SparkSession

    import unrolled.spark

    spark = SparkSession.builder.master("local[2]").config("spark.ui.enabled", "false").getOrCreate()
    spark.conf.set("spark.sql.execution.arrow.maxRecordsPerBatch", "4096")

    def answer(source: Path) -> list[tuple[int, str, float]]:
        frame, decode = spark.read.parquet(str(source)).repartition(8), unrolled.spark.Decode(run)
        rows = frame.mapInPandas(decode, decode.schema(frame)).select("id", "label", "probability").collect()
        return _rows([row.asDict() for row in rows])

    return answer


def _rows(rows: list[dict[str, Any]]) -> list[tuple[int, str, float]]:
    return [(row["id"], row["label"], row["probability"]) for row in rows]


def main() -> None:
    """Measure the parts, and save the figures of each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", choices=PARTS, default=PARTS)
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--rows", type=int, default=400_000)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    measures = {"kills": kills, "cores": cores, "memory": memory, "engines": engines}
    packages = {"engines": ("ray", "pyspark", "pyarrow", "pandas")}
    with tempfile.TemporaryDirectory(prefix="unrolled-") as folder:
        run = Path(folder) / "run"
        unrolled.train("sample:films", model="gru", hidden_size=64, updates=120, baseline=False, out=run)
        for part in options.parts:
            figures = measures[part](run, Path(folder) / part, options)
            print(part, figures, save_part("scoring", part, figures, *packages.get(part, ())), flush=True)


if __name__ == "__main__":
    main()
