"""Registered claims: sentences of the literature, each with its threshold, committed before its trainings.

    python experiments/claims.py list                        the claims, and the trainings that each still needs
    python experiments/claims.py run [NAME …] [--set short]  train all that is missing; write figures and verdicts
    python experiments/claims.py table [--check]             the table in docs/claims.md

A claim is experiments/claims/NAME.toml:

    claim         one sentence
    source        paper, year, section
    threshold     the condition under which the claim is shown, in words
    analysis      a function of claim_analyses.py, and its numbers in the table [limits]
    set           "short" (less than an hour of two cores in all) or "full"
    seeds         number of trainings of each arm
    [settings]    settings that all arms share, [data] their data (claim_data.py)
    [arms.A]      settings of an arm; `data` in it: keys of its data that differ; in the order that the analysis takes

Trainings are lines of experiments/results/trainings.jsonl, by a key of settings, data and seed: an interrupted run
continues, and claims share trainings. experiments/results/NAME.json holds the figure found, the verdict and the hash of
the claim's file: if the file has changed since, the result is refused.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import multiprocessing
import os
import re
import sys
import tomllib
import traceback
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")
sys.path.insert(0, str(Path(__file__).parent))

import numpy as np
from claim_analyses import ANALYSES, BITS, POINTS, Unit, mean_of
from claim_trainings import key_of, run_job, unpacked

from unrolled.errors import ConfigError

ROOT = Path(__file__).parents[1]
CLAIMS, RESULTS = ROOT / "experiments" / "claims", ROOT / "experiments" / "results"
PAGE = ROOT / "docs" / "claims.md"
SETS = ("short", "full")
REQUIRED = {
    "claim": str,
    "source": str,
    "threshold": str,
    "analysis": str,
    "set": str,
    "seeds": int,
    "limits": dict,
    "arms": dict,
}
OPTIONAL = {"settings": dict, "data": dict}
LEAST_SEEDS = 3


@dataclass(frozen=True)
class Claim:
    """A registered claim.

    Args:
        name: the stem of its file.
        digest: SHA-256 of the file.
        fields: the values in the file.
    """

    name: str
    digest: str
    fields: Mapping[str, Any]

    @property
    def measured(self) -> bool:
        """Whether its arms are measured once, not trained."""
        return bool(self.fields["analysis"] == "costs")

    @property
    def unit(self) -> Unit:
        """The unit of its figures."""
        return BITS if self.fields.get("settings", {}).get("task") == "generate" else POINTS

    @property
    def seeds(self) -> range:
        """The seeds of its trainings."""
        return range(self.fields["seeds"])

    def job(self, arm: str, seed: int) -> dict[str, Any]:
        """Return the settings, data and seed of a training."""
        own = dict(self.fields["arms"][arm])
        data = {**self.fields.get("data", {}), **own.pop("data", {})}
        return {"settings": {**self.fields.get("settings", {}), **own}, "data": data, "seed": seed}

    def jobs(self) -> Iterator[dict[str, Any]]:
        """Yield all trainings of the claim."""
        for seed in self.seeds:
            for arm in self.fields["arms"]:
                yield self.job(arm, seed)


def read_claim(path: Path) -> Claim:
    """Return the claim of a file.

    Raises:
        ConfigError: a field is missing, unknown or of another type, or has no such value; names file and field.
    """
    text = path.read_bytes()
    fields = tomllib.loads(text.decode())
    for name, kind in REQUIRED.items():
        if not isinstance(fields.get(name), kind):
            raise ConfigError(f"{path.name}: {name} must be of type {kind.__name__}: got {fields.get(name)!r}")
    if unknown := fields.keys() - REQUIRED.keys() - OPTIONAL.keys():
        raise ConfigError(f"{path.name}: there is no field {', '.join(sorted(unknown))}")
    if fields["analysis"] not in ANALYSES:
        raise ConfigError(f"{path.name}: analysis must be one of {', '.join(ANALYSES)}: got {fields['analysis']!r}")
    analysis, limits = ANALYSES[fields["analysis"]], fields["limits"].keys()
    if not limits or not analysis.needs <= limits <= analysis.needs | analysis.may_have:
        names = ", ".join(sorted(analysis.needs | analysis.may_have))
        raise ConfigError(f"{path.name}: limits of {fields['analysis']} are {names}: got {', '.join(limits)}")
    if fields["set"] not in SETS:
        raise ConfigError(f"{path.name}: set must be one of {', '.join(SETS)}: got {fields['set']!r}")
    if fields["seeds"] < LEAST_SEEDS and fields["analysis"] != "costs":
        raise ConfigError(f"{path.name}: seeds must be at least {LEAST_SEEDS}: got {fields['seeds']}")
    return Claim(path.stem, hashlib.sha256(text).hexdigest(), fields)


def claims(names: Sequence[str] = (), chosen: str | None = None) -> list[Claim]:
    """Return the claims by name, or all of a set, in the order of their names.

    Raises:
        ConfigError: there is no such claim, or as `read_claim`.
    """
    for name in names:
        if not (CLAIMS / f"{name}.toml").is_file():
            raise ConfigError(f"there is no claim {name} in experiments/claims")
    paths = [CLAIMS / f"{name}.toml" for name in names] or sorted(CLAIMS.glob("*.toml"))
    found = [read_claim(path) for path in paths]
    return [claim for claim in found if chosen in (None, claim.fields["set"])]


def trainings() -> dict[str, dict[str, Any]]:
    """Return the trainings done so far, by key."""
    return {line["key"]: line for line in map(json.loads, _whole_lines().splitlines())}


def _whole_lines() -> str:
    """Return the file of the trainings, without a last line that a kill has cut off."""
    path = RESULTS / "trainings.jsonl"
    text = path.read_text(encoding="utf-8") if path.is_file() else ""
    return text[: text.rfind("\n") + 1]


def missing(claim: Claim, done: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the jobs of a claim that no training has the key of."""
    return [job for job in claim.jobs() if key_of(job) not in done]


def conclude(claim: Claim, done: Mapping[str, Any]) -> dict[str, Any]:
    """Return the result of a claim from its trainings."""
    of_arms = {arm: [done[key_of(claim.job(arm, seed))] for seed in claim.seeds] for arm in claim.fields["arms"]}
    analysis = ANALYSES[claim.fields["analysis"]].run
    if claim.measured:
        arms: dict[str, Any] = {arm: lines[0] for arm, lines in of_arms.items()}
        shown = {
            arm: {key: line[key] for key in ("positions", "bytes", "milliseconds", "parameters")}
            for arm, line in arms.items()
        }
    else:
        arms = {arm: np.array([unpacked(line["scores"]) for line in lines]) for arm, lines in of_arms.items()}
        shown = {arm: _arm(arms[arm], lines) for arm, lines in of_arms.items()}
    found = analysis(arms, claim.fields["limits"], claim.unit)
    lines = [line for each in of_arms.values() for line in each]
    return {
        "toml": claim.digest,
        "claim": claim.fields["claim"],
        "figure": found.figure,
        "verdict": found.verdict,
        "numbers": found.numbers,
        "arms": shown,
        "seeds": len(claim.seeds),
        "seconds": round(sum(line["seconds"] for line in lines), 1),
        "date": max(line["date"] for line in lines),
        "machine": lines[-1]["machine"],
        "versions": lines[-1]["versions"],
    }


def _arm(scores: Any, lines: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    mean = mean_of(scores)
    return {
        "mean": mean.mean,
        "interval": list(mean.interval),
        "by_seed": [round(float(each), 4) for each in scores.mean(axis=1)],
        "examples": scores.shape[1],
        "parameters": lines[0]["parameters"],
        "updates": lines[0]["updates"],
    }


def result_of(claim: Claim) -> dict[str, Any] | None:
    """Return the saved result of a claim, None if there is none.

    Raises:
        ConfigError: the claim's file has changed since.
    """
    path = RESULTS / f"{claim.name}.json"
    if not path.is_file():
        return None
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    if found["toml"] != claim.digest:
        raise ConfigError(
            f"{claim.name}.toml has changed since its result was written: restore it, or remove results/{path.name}"
        )
    return found


def _save(claim: Claim, done: Mapping[str, Any]) -> None:
    result = conclude(claim, done)
    path = RESULTS / f"{claim.name}.json"
    path.write_text(json.dumps(result, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    print(f"{claim.name}: {result['verdict']}. {result['figure']}", flush=True)


def run(chosen: Sequence[Claim], workers: int) -> None:
    """Train all that is missing, in processes of one thread each; write the result of each claim once it is complete.

    A training that fails is reported, and the others go on.

    Raises:
        SystemExit: a training has failed.
    """
    RESULTS.mkdir(exist_ok=True)
    for claim in chosen:
        result_of(claim)
    done, failed = trainings(), 0
    open_claims = list(chosen)

    def conclude_complete() -> None:
        for claim in [claim for claim in open_claims if not missing(claim, done)]:
            open_claims.remove(claim)
            _save(claim, done)

    (RESULTS / "trainings.jsonl").write_text(_whole_lines(), encoding="utf-8")
    conclude_complete()
    jobs = {key_of(job): job for claim in open_claims for job in missing(claim, done)}
    pool = ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn"))
    try:
        futures = {pool.submit(run_job, job): job for job in jobs.values()}
        for future in as_completed(futures):
            if error := future.exception():
                failed += 1
                print(f"failed: {futures[future]}", *traceback.format_exception(error), sep="\n", flush=True)
                continue
            line = future.result()
            with (RESULTS / "trainings.jsonl").open("a", encoding="utf-8") as file:
                print(json.dumps(line, ensure_ascii=False), file=file)
            done[line["key"]] = line
            conclude_complete()
    finally:
        pool.shutdown(cancel_futures=True)
    if failed:
        sys.exit(f"{failed} of {len(jobs)} trainings failed; the same command trains them again")


def table(chosen: Sequence[Claim]) -> str:
    """Return claims as a Markdown table: sentence, source, figure, threshold, verdict, seeds."""
    lines = ["| claim | source | found | shown if | verdict | seeds |", "|---|---|---|---|---|---|"]
    for claim in chosen:
        found, fields = result_of(claim), claim.fields
        if found is None:
            figure, verdict = "", "not run"
        else:
            link = f"../experiments/results/{claim.name}.json"
            figure, verdict = found["figure"], f"[*{found['verdict']}*]({link})"
        seeds = "–" if claim.measured else len(claim.seeds)
        cells = (fields["claim"], fields["source"], figure, fields["threshold"], verdict, seeds)
        lines.append("| " + " | ".join(str(cell).replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(lines)


def cost(chosen: Sequence[Claim]) -> str:
    """Return a sentence about the time of all trainings of claims, each counted once."""
    done, keys = trainings(), {key_of(job) for claim in chosen for job in claim.jobs()}
    seconds = sum(done[key]["seconds"] for key in keys & done.keys())
    text = f"{len(keys & done.keys()):,} of {len(keys):,} trainings, {seconds:,.0f} CPU seconds"
    return f"{text}: {seconds / 120:,.0f} minutes of two cores."


def filled(page: str, chosen: Sequence[Claim]) -> str:
    """Return the text of the page with the table of each set, and its time, between its marks."""
    for name in SETS:
        of_set = [claim for claim in chosen if claim.fields["set"] == name]
        block = f"<!-- {name} -->\n{table(of_set)}\n\n{cost(of_set)}\n<!-- end -->"
        page = re.sub(rf"<!-- {name} -->\n.*?<!-- end -->", lambda _, block=block: block, page, flags=re.DOTALL)
    return page


def main() -> None:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    listing = commands.add_parser("list", help="the claims, and the trainings that each still needs")
    training = commands.add_parser("run", help="train all that is missing; write figures and verdicts")
    for command in (listing, training):
        command.add_argument("names", nargs="*", metavar="NAME")
        command.add_argument("--set", choices=SETS, help="all claims of a set")
    training.add_argument("--workers", type=int, default=2, help="processes of one thread each")
    writing = commands.add_parser("table", help="write the table in docs/claims.md")
    writing.add_argument("--check", action="store_true", help="change nothing; exit with 1 if it is out of date")
    options = parser.parse_args()
    if options.command == "table":
        old = PAGE.read_text(encoding="utf-8")
        new = filled(old, claims())
        if options.check and new != old:
            sys.exit("docs/claims.md is out of date: run python experiments/claims.py table")
        PAGE.write_text(new, encoding="utf-8")
        return
    chosen = claims(options.names, options.set)
    if options.command == "list":
        done = trainings()
        for claim in chosen:
            jobs = list(claim.jobs())
            print(f"{claim.name:36} {claim.fields['set']:6} {len(missing(claim, done)):3} of {len(jobs):3} missing")
        return
    run(chosen, options.workers)


if __name__ == "__main__":
    try:
        main()
    except ConfigError as error:
        sys.exit(f"error: {error}")
