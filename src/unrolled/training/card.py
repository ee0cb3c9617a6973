"""The model card: what a stranger who finds the folder wants to know, from the run's own record."""

from __future__ import annotations

from typing import Any

from unrolled import lineage
from unrolled.config import Config
from unrolled.errors import excerpt

__all__ = ["model_card"]


def model_card(config: Config, labels: tuple[str, ...], record: dict[str, Any]) -> str:
    """Return the README.md of a run's folder."""
    row = lineage.row(config.row)
    data, result, training, machine = record["data"], record["result"], record["training"], record["machine"]
    lines = [
        "---",
        "library_name: unrolled",
        f"pipeline_tag: text-{config.task.replace('classify', 'classification')}",
        f"tags: [{config.row}, {config.task}]",
        "---",
        "",
        f"# {data['name']}: {config.task} with {config.row}",
        "",
        f"A network of the row *{row.name}* ({row.source}): {row.adds}. {record['parameters']:,} parameters.",
        f"It answers with one of {len(labels)} labels: {', '.join(map(_code, labels[:20]))}"
        + ("." if len(labels) <= 20 else ", …"),
        "",
        "```",
        'unrolled decode THIS_FOLDER "a text of your own"',
        "```",
        "",
        "## Data",
        f"{data['source']} ({data['how']}); "
        + ", ".join(f"{part} {values['rows']:,}" for part, values in data["parts"].items())
        + " examples. Labels come from that data and no better than it.",
        "",
        "## How good it is",
        *(_result_lines(result) if result else ["Not evaluated: the data had no test part."]),
        "",
        "## How it was made",
        f"{training['updates']:,} updates, best at {training['best_update']:,} ({training['stopped']}); "
        f"seed {config.training.seed}; backend {record['backend']}; {training['tokens_per_second']:,.0f} tokens/s "
        f"on {machine['processor']}, {machine['threads']} threads; {record['date']}. "
        "Every setting and version is in `run.json`.",
        "",
    ]
    return "\n".join(lines)


def _result_lines(result: dict[str, Any]) -> list[str]:
    low, high = result["accuracy_interval"]
    return [
        f"On {result['n']:,} held-out examples: accuracy {result['accuracy']:.1%} "
        f"(95 % interval {low:.1%} to {high:.1%}), macro-F1 {result['macro_f1']:.3f}; "
        f"always answering {_code(result['majority_label'])} gets {result['majority_accuracy']:.1%}."
    ]


def _code(label: str) -> str:
    """A label as code, whatever is in it."""
    return f"`{excerpt(label, 40).replace('`', '’')}`"
