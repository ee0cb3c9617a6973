"""The model card: what a stranger who finds the folder wants to know, from the run's own record."""

from __future__ import annotations

from typing import Any

from unrolled import lineage
from unrolled.config import Config
from unrolled.errors import excerpt

__all__ = ["code", "model_card"]


def model_card(
    config: Config, record: dict[str, Any], *, pipeline: str, answers: str, ask: str, data: str, result: str
) -> str:
    """Return the README.md of a run's folder.

    Args:
        config, record: the run's.
        pipeline: the task as the Hugging Face hub calls it.
        answers: what the model answers with, in a sentence.
        ask: the command that asks it.
        data: how much there was of each part.
        result: how good it is, in a sentence; "" if it was not evaluated.
    """
    row = lineage.architecture(config.model.name)
    training, machine = record["training"], record["machine"]
    lines = [
        "---",
        "library_name: unrolled",
        f"pipeline_tag: {pipeline}",
        f"tags: [{config.model.name}, {config.task}]",
        "---",
        "",
        f"# {record['data']['name']}: {config.task} with {config.model.name}",
        "",
        f"A network of the row *{row.name}* ({row.source}): {row.adds}. {record['parameters']:,} parameters.",
        answers,
        "",
        "```",
        ask,
        "```",
        "",
        "## Data",
        f"{record['data']['source']} ({record['data']['how']}); {data}",
        "",
        "## How good it is",
        result or "Not evaluated: the data had no test split.",
        "",
        "## How it was made",
        f"{training['updates']:,} updates, best at {training['best_update']:,} ({training['stopped']}); "
        f"seed {config.training.seed}; backend {record['backend']}; {training['tokens_per_second']:,.0f} tokens/s "
        f"on {machine['processor']}, {machine['threads']} threads; {record['date']}. "
        "Every setting and version is in `run.json`.",
        "",
    ]
    return "\n".join(lines)


def code(label: str) -> str:
    """A label as code, whatever is in it."""
    return f"`{excerpt(label, 40).replace('`', '’')}`"
