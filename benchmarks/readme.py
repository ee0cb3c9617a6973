"""Figures of benchmarks/results/ in the pages that show them, between markers: no number is typed by hand.

python benchmarks/readme.py            rewrite the pages of PAGES
python benchmarks/readme.py --check    check that they are up to date (exit code 1: one is not)
"""

from __future__ import annotations

import argparse
import json
import re
import statistics
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import inside_tables

ROOT = Path(__file__).parents[1]


def demo(found: dict[str, Any]) -> str:
    """Output of the demo."""
    output = "\n".join(line.rstrip() for line in found["output"].strip().splitlines())
    return f"It takes {found['seconds']:.0f} seconds here, and prints:\n\n```\n{output}\n```"


def films(found: dict[str, Any]) -> str:
    """Models on film sentences."""
    lines = [
        "| model | accuracy, mean of 3 seeds | by seed | 95 % interval of the first | macro-F1 | parameters "
        "| seconds |",
        "|---|---|---|---|---|---|---|",
        f"| majority class | {found['models'][0]['majority_accuracy']:.1%} | | | | | |",
    ]
    for model in found["models"]:
        low, high = model["interval_by_seed"][0]
        seeds = ", ".join(f"{accuracy:.1%}" for accuracy in model.get("accuracy_by_seed", [])) or "one: it has no seed"
        f1 = f"{model['macro_f1']:.3f}" if "macro_f1" in model else ""
        lines.append(
            f"| {model['model']} | {model['accuracy']:.1%} | {seeds} | {low:.1%} to {high:.1%} | {f1} "
            f"| {model['parameters']:,} | {model['seconds']:.1f} |"
        )
    return "\n".join(lines)


def defaults(found: dict[str, Any]) -> str:
    """Scores with the defaults of before and of now."""
    lines = [
        "| data | examples | model | figure | before, by seed | now, by seed | CPU seconds before | now |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for row in found["rows"]:
        size = f"{row['size']:,}" if row["size"] else "all"
        form = ".1f" if row["score"] == "bleu" else ".1%"
        scores = (", ".join(format(score, form) for score in row[which]) for which in ("old", "new"))
        seconds = (f"{sum(row[which]) / len(row[which]):.1f}" for which in ("old_seconds", "new_seconds"))
        cells = (row["data"], size, row["model"], FIGURES[row["score"]], *scores, *seconds)
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


FIGURES = {"accuracy": "accuracy", "exact_match": "exact match", "bleu": "BLEU"}


def training_speed(found: dict[str, Any]) -> str:
    """Our loop compared with plain ones."""
    speeds, ratios = found["tokens_per_second"], found["ratio_to"]
    return "\n".join(
        [
            "| loop | tokens/s | ours is |",
            "|---|---|---|",
            f"| `unrolled.train`, backend {found['backend']} | {speeds['unrolled']:,} | |",
            *(
                f"| {what} | {speeds[name]:,} | {ratios[name]:.2f} times as fast |"
                for name, what in (
                    ("lean", "torch, padded batches, fused AdamW"),
                    ("packed", "torch, packed sequences, default AdamW"),
                )
            ),
            "",
            f"Outside forward, backward and optimiser: {found['outside_forward_backward_optimizer']:.1%} of an update.",
        ]
    )


def kernels(found: dict[str, Any]) -> str:
    """The fused scans compared with torch.nn: geometric means and the worst shape."""
    lines = ["| | inference, mean | inference, worst | training, mean | training, worst |", "|---|---|---|---|---|"]
    for case, means in found["means"].items():
        figures = (means[f"{what}, {which}"] for what in ("infer", "train") for which in ("mean", "worst"))
        lines.append(f"| {case.replace('>=', '≥')} | " + " | ".join(f"{figure:.2f}" for figure in figures) + " |")
    return "\n".join(lines)


def backends(found: dict[str, Any]) -> str:
    """The same trainings with each backend."""
    lines = [
        "| training | backend | tokens/s | seconds | loss at equal updates, by seed | loss at equal seconds, by seed |",
        "|---|---|---|---|---|---|",
    ]
    for case, measured in found.items():
        for backend, figures in measured["backends"].items():
            updates, seconds = (
                ", ".join("—" if loss is None else f"{loss:.3f}" for loss in figures[f"loss_nats_at_equal_{what}"])
                for what in ("updates", "seconds")
            )
            name = case if backend == next(iter(measured["backends"])) else ""
            lines.append(
                f"| {name} | {backend} | {figures['tokens_per_second']:,} | {figures['seconds']:.1f} "
                f"| {updates} | {seconds} |"
            )
    return "\n".join(lines)


def shakespeare_plain(found: dict[str, Any]) -> str:
    """A GRU by character compared with a plain loop."""
    lines = ["| loop | valid nats, mean of 3 seeds | by seed | characters/s |", "|---|---|---|---|"]
    for name, what in (("unrolled", "`unrolled.train`"), ("torch", "torch, a plain loop")):
        seeds = ", ".join(f"{turn['valid_nats']:.3f}" for turn in found[name])
        nats, speed = found["valid_nats"][name], found["tokens_per_second"][name]
        lines.append(f"| {what} | {nats:.3f} | {seeds} | {speed:,} |")
    outside = found["outside_forward_backward_optimizer"]
    lines += [
        "",
        f"{found['times_as_fast']:.2f} times as fast. Outside forward, backward and optimiser: {outside:.1%}.",
    ]
    return "\n".join(lines)


def shakespeare_models(found: dict[str, Any]) -> str:
    """Language models at equal updates."""
    heads = ("model", "parameters", "valid nats", "valid bits a character", "test bits a character, 95 % interval")
    lines = [f"| {' | '.join(heads)} | characters/s |", "|---|---|---|---|---|---|"]
    for row in found["models"]:
        low, high = row["test_interval"]
        lines.append(
            f"| {row['model']} | {row['parameters']:,} | {row['valid_nats']:.3f} "
            f"| {row['valid_bits_per_character']:.3f} "
            f"| {row['test_bits_per_character']:.3f}, {low:.3f} to {high:.3f} | {row['tokens_per_second']:,} |"
        )
    return "\n".join(lines)


def shakespeare_seconds(found: dict[str, Any]) -> str:
    """Language models at equal seconds."""
    heads = (
        "model",
        "parameters",
        "seconds",
        "characters learnt from",
        "valid nats",
        "test bits a character, 95 % interval",
    )
    lines = [f"| {' | '.join(heads)} |", "|---" * len(heads) + "|"]
    for row in found.values():
        low, high = row["test_interval"]
        lines.append(
            f"| {row['model']} | {row['parameters']:,} | {row['seconds']:.0f} "
            f"| {row['tokens_per_second'] * row['seconds'] / 1e6:.1f} million | {row['valid_nats']:.3f} "
            f"| {row['test_bits_per_character']:.3f}, {low:.3f} to {high:.3f} |"
        )
    return "\n".join(lines)


def shakespeare_recipe(found: dict[str, Any]) -> str:
    """gpt at the recipe's size and budget, and a recurrent model."""
    return shakespeare_seconds({row["model"]: row for row in found["models"]})


def shakespeare(found: dict[str, Any]) -> str:
    """The best setting for three minutes, and 500 characters that it writes."""
    low, high = found["test_interval"]
    sample, settings = found["sample"], found["settings"]
    bits, baseline = found["test_bits_per_character"], found["test_frequency_bits_per_character"]
    size = f"a GRU of {found['hidden_size']}, {found['parameters']:,} parameters"
    lines = [
        f"{found['seconds']:.0f} seconds of training, {size}, {settings['streams']} × {settings['chunk']} characters",
        f"an update: **{found['valid_nats']:.3f} nats** a character on the valid plays. The test plays need {bits:.3f}",
        f"bits a character ({low:.3f} to {high:.3f}), by the frequency of each character alone {baseline:.3f}.",
        f"At temperature {sample['temperature']}, seed {sample['seed']}, it writes:",
        "",
        "```",
        f"{sample['prompt']}{sample['text']}",
        "```",
    ]
    return "\n".join(lines)


def large_text(found: dict[str, Any]) -> str:
    """Memory and seconds of a text of 1 GB."""
    steps = found["steps"]
    rows = (("model", "model and training alone"), ("ids", "making the ids"), ("training", "training, ids made before"))
    lines = ["| a text of 1 GB | highest memory | seconds |", "|---|---|---|"]
    lines += [
        f"| {what} | {steps[name]['most_bytes'] / 1e6:,.0f} MB | {steps[name]['seconds']:.0f} |" for name, what in rows
    ]
    return "\n".join(lines)


def large_rows(found: dict[str, Any]) -> str:
    """Memory and seconds of ten million rows."""
    rows = (
        ("read", "reading them one by one"),
        ("read packed", "the same from .gz"),
        ("split", "reading and splitting them, torch loaded"),
        ("data", "`unrolled data`: splitting, tokenising, issues"),
        ("model", "the model and training alone, on a small sample"),
        ("training", "the same training on these rows"),
    )
    size = f"{found['data']['rows']:,} rows, {found['data']['file_bytes'] / 1e6:,.0f} MB"
    lines = [f"| {size} | highest memory | seconds |", "|---|---|---|"]
    lines += [
        f"| {what} | {found[name]['most_bytes'] / 1e6:,.0f} MB | {found[name]['seconds']:.0f} |" for name, what in rows
    ]
    return "\n".join(lines)


def bad_files(found: dict[str, Any]) -> str:
    """Bad, changed and valid files through the readers."""
    bad, changed, valid = found["bad"], found["mutations"], found["valid"]
    ends = {end: sum(form[end] for form in changed["by_format"].values() if end in form) for end in ENDS}
    became = ", ".join(f"{count:,} {ENDS[end]}" for end, count in ends.items())
    return "\n".join(
        [
            "| files | how many | result |",
            "|---|---|---|",
            f"| bad, made by hand, of {bad['kinds']} kinds | {bad['files']} | refused, naming file and line |",
            f"| good, changed at random | {changed['files']:,} | {became}; no row or character lost |",
            f"| valid, made at random | {sum(valid.values()):,} | read as by Python's own `csv` and `json` |",
        ]
    )


ENDS = {
    "refused": "refused as a whole",
    "skipped": "read without the bad rows, which are counted",
    "whole": "still good",
}


def refusals(found: dict[str, Any]) -> str:
    """CPU seconds of commands that compute nothing, by kind."""
    lines = ["| command | how many | exit code | CPU seconds, median | highest |", "|---|---|---|---|---|"]
    kinds: dict[str, list[dict[str, Any]]] = {}
    for row in found["commands"]:
        kinds.setdefault(row["kind"], []).append(row)
    for kind, rows in kinds.items():
        median = statistics.median(row["cpu_seconds"] for row in rows)
        highest = max(row["highest"] for row in rows)
        lines.append(f"| {kind} | {len(rows)} | {rows[0]['exit_code']} | {median:.2f} | {highest:.2f} |")
    return "\n".join(lines)


def tags(found: dict[str, Any]) -> str:
    """Models as taggers, and the most frequent tag of each word."""
    first = next(iter(found.values()))
    lines = [
        "| model | accuracy, mean of 3 seeds | by seed | interval of the first | unseen words | parameters | seconds |",
        "|---|---|---|---|---|---|---|",
        f"| the most frequent tag of each word | {first['baseline_accuracy']:.1%} | | "
        f"| {first['baseline_unseen_accuracy']:.1%} | | |",
    ]
    for row in found.values():
        low, high = row["interval_of_first"]
        lines.append(
            f"| {row['model']} | {row['accuracy']:.1%} | {_by_seed(row)} | {low:.1%} to {high:.1%} "
            f"| {row['unseen_accuracy']:.1%} | {row['parameters']:,} | {max(row['seconds_by_seed']):.0f} |"
        )
    return "\n".join(lines)


def images(found: dict[str, Any]) -> str:
    """Fashion-MNIST and MNIST at once and by row."""
    lines = [
        "| data | model | by | accuracy, mean of 3 seeds | by seed | 95 % interval of the first | parameters "
        "| seconds |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for case, row in found.items():
        if row["by"] != "pixel":
            low, high = row["interval_of_first"]
            lines.append(
                f"| {'Fashion-MNIST' if case == 'fashion' else 'MNIST'} | {row['model']} | {row['by']} "
                f"| {row['accuracy']:.2%} | {_by_seed(row, 2)} | {low:.2%} to {high:.2%} "
                f"| {row['parameters']:,} | {max(row['seconds_by_seed']):.0f} |"
            )
    return "\n".join(lines)


def pixels(found: dict[str, Any]) -> str:
    """One pass over MNIST in 784 steps."""
    lines = [
        "| model | seconds of the pass | pixels/s in it | in turns: ours | torch.nn | ours is "
        "| test accuracy after it |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in found.values():
        if row["by"] == "pixel":
            turns = row["in_turns"]
            lines.append(
                f"| {row['model']} | {row['seconds_by_seed'][0]:.0f} | {row['steps_per_second']:,} "
                f"| {turns['unrolled']:,} | {turns['torch']:,} | {row['times_as_fast']:.2f} times as fast "
                f"| {row['accuracy']:.1%} |"
            )
    return "\n".join(lines)


def _by_seed(row: dict[str, Any], digits: int = 1) -> str:
    return ", ".join(f"{accuracy:.{digits}%}" for accuracy in row["accuracy_by_seed"])


def steps(found: dict[str, Any]) -> str:
    """A step of a stream compared with torch.nn and ONNX Runtime."""
    lines = ["| B, T, D, H | ours | torch.nn takes | ONNX Runtime takes |", "|---|---|---|---|"]
    for row in found["rows"]:
        if "frozen" in row:
            step, shape = row["frozen"], ", ".join(map(str, row["shape"]))
            lines.append(
                f"| {row['cell']} {shape} | {1e3 * step['ms']:.1f} µs "
                f"| {step['torch']:.2f} times that | {step['onnxruntime']:.2f} times that |"
            )
    return "\n".join(lines)


def linear(found: dict[str, Any]) -> str:
    """A linear layer in decoding."""
    lines = ["| D, V | N | packed once | packed at the call takes | torch takes |", "|---|---|---|---|---|"]
    for row in found["rows"]:
        D, V, N = row["shape"]
        lines.append(
            f"| {D}, {V} | {N} | {row['microseconds']['ours']:.1f} µs | {row['free']:.2f} times that "
            f"| {row['torch']:.2f} times that |"
        )
    return "\n".join(lines)


def exports(found: dict[str, Any]) -> str:
    """Exports to ONNX next to the runs."""
    lines = [
        "| task | model | largest difference | ours, B = 1 | onnxruntime takes | ours, B = 16 | onnxruntime takes |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in found["rows"]:
        times = [
            f"{row[batch]['microseconds']['ours']:,.0f} µs | {row[batch]['onnxruntime']:.2f} times that"
            for batch in ("batch_1", "batch_16")
        ]
        cells = (row["task"], row["model"], f"{row['largest_difference']:.1e}", *times)
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def letters(found: dict[str, Any]) -> str:
    """Letters to phonemes: error rates of every model, greedy and by a beam."""
    lines = [
        "| model | training | parameters | updates | phoneme errors, greedy | word errors, greedy, by seed "
        "| 95 % interval of the first | beam of 5: phonemes | words |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for name, row in found.items():
        runs = row["runs"]
        low, high = runs[0]["greedy"]["exact_match_interval"]
        lines.append(
            f"| {row['model']} | {name.split()[1]} | {row['parameters']:,} | {runs[0]['updates']:,} "
            f"| {_each(runs, 'greedy', _phonemes)} | {_each(runs, 'greedy', _words)} | {1 - high:.1%} to {1 - low:.1%} "
            f"| {_each(runs, 'beam_5', _phonemes)} | {_each(runs, 'beam_5', _words)} |"
        )
    return "\n".join(lines)


def _each(runs: list[dict[str, Any]], how: str, figure: Callable[[dict[str, Any]], str]) -> str:
    return ", ".join(figure(run[how]) for run in runs)


def _phonemes(result: dict[str, Any]) -> str:
    return f"{result['word_edit_rate']:.2%}"


def _words(result: dict[str, Any]) -> str:
    return f"{1 - result['exact_match']:.1%}"


def verses(found: dict[str, Any]) -> str:
    """English to French verses: every model, and by the length of the source."""
    lines = [
        "| model | parameters | updates | BLEU, 95 % interval | chrF, 95 % interval | beam of 5: BLEU | chrF |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in found.values():
        run = row["runs"][0]
        greedy, beam = run["greedy"], run["beam_5"]
        lines.append(
            f"| {row['model']} | {row['parameters']:,} | {run['updates']:,} | {_interval(greedy, 'bleu')} "
            f"| {_interval(greedy, 'chrf')} | {beam['bleu']:.1f} | {beam['chrf']:.1f} |"
        )
    by_length = {row["model"]: row["runs"][0]["greedy"]["by_length"] for row in found.values()}
    bins = next(iter(by_length.values()))
    lengths = " | ".join(f"{one['shortest']} to {one['longest']}" for one in bins)
    lines += [
        "",
        f"| BLEU by tokens of the source | {lengths} |",
        "|---" * (len(bins) + 1) + "|",
        *(f"| {model} | {' | '.join(_interval(one, 'bleu') for one in each)} |" for model, each in by_length.items()),
    ]
    return "\n".join(lines)


def _interval(result: dict[str, Any], figure: str) -> str:
    low, high = result[f"{figure}_interval"]
    return f"{result[figure]:.1f}, {low:.1f} to {high:.1f}"


def verses_samples(found: dict[str, Any]) -> str:
    """Translations of a few verses by every model."""
    lines = []
    for number, sample in enumerate(next(iter(found.values()))["runs"][0]["samples"]):
        lines += [f"> {sample['source']}", ">", f"> *{sample['reference']}*", ""]
        lines += [f"- {row['model']}: {row['runs'][0]['samples'][number]['answer']}" for row in found.values()]
        lines.append("")
    return "\n".join(lines[:-1])


def state(found: dict[str, Any]) -> str:
    """Bytes of each model's state and milliseconds of a token, by position."""
    shown = [found["positions"].index(position) for position in (32, 512, 4096)]
    heads = [f"{found['positions'][i]:,} tokens" for i in shown]
    lines = [
        f"| model | parameters | state after {' | after '.join(heads)} | next token after {' | after '.join(heads)} |",
        "|---" * (2 + 2 * len(shown)) + "|",
    ]
    lines += [
        f"| {row['model']} | {row['parameters']:,} | "
        + " | ".join(f"{row['bytes'][i]:,} B" for i in shown)
        + " | "
        + " | ".join(f"{row['milliseconds'][i]:.3f} ms" for i in shown)
        + " |"
        for row in found["models"]
    ]
    return "\n".join(lines)


def joeynmt(found: dict[str, Any]) -> str:
    """Ours compared with JoeyNMT."""
    lines = ["| | | ours | JoeyNMT | ours is, median | by turn |", "|---|---|---|---|---|---|"]
    for kind, figures in found.items():
        for name, label in (
            ("target_tokens_per_second", "training, target tokens/s"),
            ("beam_5_sentences_per_second", "beam of 5, sentences/s"),
        ):
            measured = figures[name]
            turns = ", ".join(f"{ratio:.2f}" for ratio in measured["turns"])
            lines.append(
                f"| {kind} | {label} | {measured['unrolled']:,.1f} | {measured['joeynmt']:,.1f} "
                f"| {measured['times_as_fast']:.2f} times as fast | {turns} |"
            )
    return "\n".join(lines)


def level(found: dict[str, Any]) -> str:
    """Fractions of equal models that are called different, by method; the power, computed and simulated."""
    methods = list(next(iter(found["levels"].values())))
    lines = [f"| | {' | '.join(methods)} |", "|---|" + "---|" * len(methods)]
    for case, fractions in found["levels"].items():
        lines.append(f"| {case} | {' | '.join(f'{fractions[name]:.1%}' for name in methods)} |")
    lines += ["", "| power at two standard errors | computed | simulated |", "|---|---|---|"]
    lines += [f"| {case} | {row['computed']:.1%} | {row['found']:.1%} |" for case, row in found["powers"].items()]
    return "\n".join(lines)


def comparison_films(found: dict[str, Any]) -> str:
    """A comparison of three models on film sentences."""
    case = found["films"]
    lines = [
        "| model | hidden size | parameters | updates in 30 s | accuracy | 95 % interval |",
        "|---|---|---|---|---|---|",
    ]
    for each in case["models"]:
        low, high = each["interval"]
        lines.append(
            f"| {each['label']} | {each['hidden_size']} | {each['parameters']:,} | {each['updates']:,} "
            f"| {each['mean']:.1%} | {low:.1%} to {high:.1%} |"
        )
    lines += [f"| {each['name']} | | | | {each['mean']:.1%} | |" for each in case["baselines"]]
    for each in case["differences"]:
        if each["tested"]:
            low, high = each["interval"]
            verdict = "shown" if each["shown"] else "difference not shown"
            lines.append(
                f"| {each['first']} − {each['second']} | | | | {100 * each['mean']:+.1f} points "
                f"| {100 * low:+.1f} to {100 * high:+.1f}: {verdict} |"
            )
    trials = sum(each["trials"] for each in case["models"])
    return "\n".join(lines) + f"\n\n{trials} trials and 9 trainings in {case['seconds'] / 60:.1f} minutes."


def comparison_kills(found: dict[str, Any]) -> str:
    """Comparisons that were killed, and shared."""
    killed, shared = found["killed"], found["shared"]
    by = ", ".join(f"{name}: {count}" for name, count in shared["trainings_by_process"].items())
    return "\n".join([
        "| | |",
        "|---|---|",
        f"| SIGKILLs at random moments | {killed['kills']} |",
        f"| the same report in the end | {'yes' if killed['same_report'] else 'no'} |",
        f"| trainings by process, of three that shared a comparison | {by} |",
        f"| trainings done twice | {shared['trained_twice']} |",
        f"| trainings lost with the killed process, and begun again | {shared['lost_with_the_killed_process']} |",
        f"| the same scores in the end | {'yes' if shared['same_means'] else 'no'} |",
    ])  # fmt: skip


def processes(found: dict[str, Any]) -> str:
    """The speed of two processes over that of one, by model."""
    lines = [
        "| two processes of one thread, times as fast as | one process, one thread | the same, one shard "
        "| one process, two threads |",
        "|---|---|---|---|",
    ]
    for model, row in found["speed"]["models"].items():
        over = row["two_processes_over"]
        same, alone = over["one process, one thread"], over["one process, one thread, one shard"]
        lines.append(f"| {model} | {same:.2f} | {alone:.2f} | {over['one process, two threads, one shard']:.2f} |")
    return "\n".join(lines)


def scoring(found: dict[str, Any]) -> str:
    """Kills, cores, memory and engines of answers for files."""
    kills, cores, engines = found["kills"], found["cores"], found["engines"]
    struck = kills["killed_commands"] + kills["killed_workers"]
    lines = [
        "| | |",
        "|---|---|",
        f"| SIGKILLs of the command or a worker at random moments | {struck} |",
        f"| works that they struck; outputs identical to undisturbed ones | {kills['works']}; {kills['identical']} |",
        f"| {cores['rows']:,} rows: two cores, times as fast as one | {cores['times_faster']:.2f} |",
    ]
    for size, peak in found["memory"]["most_bytes"].items():
        command, worker = peak["command"] / 1e6, peak["worker"] / 1e6
        lines.append(f"| most memory, {size}: command, worker | {command:.0f} MB, {worker:.0f} MB |")
    seconds = ", ".join(f"{name} {value:.1f} s" for name, value in engines["seconds"].items())
    return "\n".join([*lines, f"| {engines['rows']:,} rows, the same answers; the first with its start | {seconds} |"])


def decoding_peers(found: dict[str, Any]) -> str:
    """Decoding next to peers: ours in milliseconds, theirs over ours."""
    peers = ("ctranslate2 float32", "ctranslate2 int8", "torch by hand", "transformers")
    lines = [f"| | ours | {' | '.join(peers)} |", "|---|---|" + "---|" * len(peers)]
    for part, title in (("gpt", "GPT {}, a token"), ("translate", "beam 5, {}"), ("short", "beam 5, {}")):
        for case, row in found[part].items():
            if isinstance(row, dict) and "ours" in row:
                theirs = (f"{row[peer]['theirs_to_ours']:.2f}" if peer in row else "" for peer in peers)
                label = title.format(case).replace("1 tokens", "1 token")
                lines.append(f"| {label} | {row['ours']['ms']:.2f} ms | {' | '.join(theirs)} |")
    growth = {case: value for case, value in found["growth"].items() if case.isdigit()}
    steps = ", ".join(f"{value:.2f} ms for {case}" for case, value in growth.items())
    return "\n".join([*lines, "", f"A beam's time a token grows with the number of tokens: {steps}."])


def bf16(found: dict[str, Any]) -> str:
    """Training in bfloat16 next to torch's autocast and to float32; losses of both."""
    others = ("torch bf16", "ours", "torch")
    lines = ["| | ours in bfloat16 | torch, autocast | ours in float32 | torch in float32 |", "|---|---|---|---|---|"]
    rows = [(f"{row['layer']} {row['H']}, {row['B']} sequences", row) for row in found["layers"]["rows"]]
    rows += [("GPT 6 × 384", found["gpt"])] if "gpt" in found else []
    for label, row in rows:
        ratios = " | ".join(f"{row['over_ours_bf16'][other]:.2f}" for other in others)
        lines.append(f"| {label} | {row['milliseconds']['ours bf16']:.1f} ms | {ratios} |")
    if "losses" in found:
        lines += ["", "| best validation loss, nats, by seed | float32 | bfloat16 |", "|---|---|---|"]
        for row in found["losses"]["rows"]:
            cells = (", ".join(f"{seed['best']:.3f}" for seed in row[kind]) for kind in ("float32", "bf16"))
            lines.append(f"| {row['data'].removeprefix('sample:')}, {row['model']} | {' | '.join(cells)} |")
    return "\n".join(lines)


def drop_in(found: dict[str, Any]) -> str:
    """Single steps of unrolled.nn next to torch.nn."""
    kinds = ("inference", "forward", "training")
    lines = ["| layer | H | inference | with a graph | and backward |", "|---|---|---|---|---|"]
    for name in dict.fromkeys(row["layer"] for row in found["steps"]):
        for H in dict.fromkeys(row["H"] for row in found["steps"]):
            rows = [row for row in found["steps"] if row["layer"] == name and row["H"] == H]
            cells = (" / ".join(f"{row[kind]['ratio']:.2f}" for row in rows) for kind in kinds)
            lines.append(f"| {name} | {H} | {' | '.join(cells)} |")
    return "\n".join(lines)


def drop_in_compiled(found: dict[str, Any]) -> str:
    """Compiled over eager times."""
    lines = ["| layer | B, T, H | unrolled.nn | torch.nn | unrolled.layers |", "|---|---|---|---|---|"]
    for row in found["compiled"]:
        cells = []
        for label in ("unrolled.nn", "torch.nn", "unrolled.layers"):
            both = (f"{row[label][kind]['compiled_to_eager']:.2f}" for kind in ("inference", "training"))
            cells.append(" / ".join(both))
        lines.append(f"| {row['layer']} | {', '.join(map(str, row['shape']))} | {' | '.join(cells)} |")
    return "\n".join(lines)


def decoding_int8(found: dict[str, Any]) -> str:
    """Decoding in int8 next to CTranslate2's int8."""
    lines = ["| | ours in int8 | CTranslate2 in int8 |", "|---|---|---|"]
    for part, title in (("gpt_int8", "GPT {}, a token"), ("translate_int8", "beam 5, {}")):
        for case, row in found[part].items():
            if isinstance(row, dict) and "ours" in row:
                theirs = row["ctranslate2 int8"]["theirs_to_ours"]
                lines.append(f"| {title.format(case)} | {row['ours']['ms']:.2f} ms | {theirs:.2f} |")
    return "\n".join(lines)


def int8(found: dict[str, Any]) -> str:
    """Recurrences in int8: microseconds of ours, and the times of others over ours."""
    others = {"ours_float32": "ours, float32", "onnxruntime_int8": "ONNX Runtime, int8", "torch_int8": "torch, int8"}
    lines = [f"| layer | H | B, T | ours | {' | '.join(others.values())} |", "|---|---|---|---|" + "---|" * len(others)]
    for row in (*found["scans"]["shapes"], *found["steps"]["shapes"]):
        ratios = (f"{row[f'{name}_over_ours']:.2f}" if f"{name}_over_ours" in row else "" for name in others)
        micros = f"{row['ours_int8_seconds'] * 1e6:,.0f} µs"
        lines.append(
            f"| {row['layer']} | {row['H']} | {row['batch']}, {row['steps']} | {micros} | {' | '.join(ratios)} |"
        )
    return "\n".join(lines)


def int8_quality(found: dict[str, Any]) -> str:
    """Figures in float32 and in int8, and the share of unchanged answers."""
    names = {
        "accuracy": "accuracy",
        "word_edit_rate": "word edits",
        "bleu": "BLEU",
        "bits_per_character": "bits a character",
    }
    lines = ["| sample, model | figure | float32 | int8 | worse by | answers unchanged |", "|---|---|---|---|---|---|"]
    for case, row in found.items():
        if "float32" not in row:
            continue
        form = {"bleu": ".2f", "bits_per_character": ".4f"}.get(row["figure"], ".2%")
        both = (f"{statistics.mean(row[precision]):{form}}" for precision in ("float32", "int8"))
        worse = f"{row['price']:+.4f}" if row["figure"] == "bits_per_character" else f"{row['price']:+.2f} points"
        lines.append(f"| {case} | {names[row['figure']]} | {' | '.join(both)} | {worse} | {row['unchanged']:.2%} |")
    prices = ", ".join(f"{names[name]} {value:+.3f}" for name, value in found["means"]["prices"].items())
    return "\n".join(
        [*lines, "", f"Means, in points: {prices}; {found['means']['unchanged']:.2%} of answers unchanged."]
    )


TABLES: dict[str, tuple[Callable[[dict[str, Any]], str], str]] = {  # marker -> its function, its JSON
    "demo": (demo, "demo"),
    "films": (films, "films"),
    "training_speed": (training_speed, "training_speed"),
    "kernels": (kernels, "kernels"),
    "steps": (steps, "kernels"),
    "kernels_avx2": (kernels, "kernels_avx2"),
    "kernels_one_thread": (kernels, "kernels_one_thread"),
    "backends": (backends, "backends"),
    "shakespeare": (shakespeare, "shakespeare"),
    "shakespeare_plain": (shakespeare_plain, "shakespeare_plain"),
    "shakespeare_models": (shakespeare_models, "shakespeare_models"),
    "shakespeare_seconds": (shakespeare_seconds, "shakespeare_seconds"),
    "shakespeare_recipe": (shakespeare_recipe, "shakespeare_recipe"),
    "linear": (linear, "linear"),
    "exports": (exports, "exports"),
    "letters": (letters, "letters"),
    "defaults": (defaults, "defaults"),
    "verses": (verses, "verses"),
    "verses_samples": (verses_samples, "verses"),
    "state": (state, "state"),
    "joeynmt": (joeynmt, "joeynmt"),
    "large_text": (large_text, "large_text"),
    "large_rows": (large_rows, "large_rows"),
    "processes": (processes, "processes"),
    "bf16": (bf16, "bf16"),
    "drop_in": (drop_in, "drop_in"),
    "drop_in_compiled": (drop_in_compiled, "drop_in"),
    "decoding_peers": (decoding_peers, "decoding_peers"),
    "decoding_int8": (decoding_int8, "decoding_peers"),
    "int8": (int8, "int8"),
    "int8_quality": (int8_quality, "int8_quality"),
    "scoring": (scoring, "scoring"),
    "refusals": (refusals, "refusals"),
    "bad_files": (bad_files, "bad_files"),
    "tags": (tags, "tags"),
    "images": (images, "images"),
    "pixels": (pixels, "images"),
    "inside_cost": (inside_tables.cost, "inside_cost"),
    "inside_films": (inside_tables.films, "inside_films"),
    "inside_recall": (inside_tables.recall, "inside_recall"),
    "inside_vanishing": (inside_tables.vanishing, "inside_recall"),
    "level": (level, "level"),
    "comparison_films": (comparison_films, "comparisons"),
    "comparison_kills": (comparison_kills, "comparisons"),
    "long_lag": (inside_tables.long_lag, "long_lag"),
    "inside_reverse": (inside_tables.reverse, "inside_reverse"),
    "inside_letters": (inside_tables.letters, "inside_letters"),
}
PAGES = (
    Path("README.md"),
    Path("docs") / "measured.md",
    Path("docs") / "data.md",
    Path("docs") / "howto" / "many-processes.md",
    Path("docs") / "howto" / "score-many.md",
    Path("docs") / "decisions" / "0030-a-difference-over-seeds-and-examples.md",
)


def filled(page: Path) -> str:
    """Return the page's text with every marked block made anew."""
    text, results = (ROOT / page).read_text(encoding="utf-8"), Path("benchmarks") / "results"
    for marker, (render, name) in TABLES.items():
        if f"<!-- {marker} -->" not in text:
            continue
        found = json.loads((ROOT / results / f"{name}.json").read_text(encoding="utf-8"))
        parts = [part for part in found.get("runs", found).values() if isinstance(part, dict) and "command" in part]
        stamp, *_ = stamps = parts or [found]  # of each part of the file, or of the one run
        commands = ", ".join(f"`{command}`" for command in dict.fromkeys(one["command"] for one in stamps))
        machine, threads = stamp["machine"], stamp["machine"]["threads"]
        link = "../" * (len(page.parts) - 1) + (results / f"{name}.json").as_posix()
        source = (
            f"{commands}, {stamp['date']}, torch {stamp['versions']['torch']}, {machine['processor']}, "
            f"{threads} thread{'s' if threads > 1 else ''}: [{name}.json]({link})"
        )
        block = f"<!-- {marker} -->\n{render(found)}\n\n{source}\n<!-- end -->"
        text = re.sub(rf"<!-- {marker} -->\n.*?<!-- end -->", lambda _, block=block: block, text, flags=re.DOTALL)
    return text


def main() -> None:
    """Rewrite the pages, or check them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="change nothing; exit with 1 where a page is out of date")
    check = parser.parse_args().check
    for page in PAGES:
        path, new = ROOT / page, filled(page)
        if not check:
            path.write_text(new, encoding="utf-8")
        elif new != path.read_text(encoding="utf-8"):
            sys.exit(f"{page} differs from benchmarks/results: run python benchmarks/readme.py")


if __name__ == "__main__":
    main()
