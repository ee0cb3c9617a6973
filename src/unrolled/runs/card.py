"""The model card: a README.md for readers who know only the folder, made from the run's record."""

from __future__ import annotations

from typing import Any

from unrolled import lineage
from unrolled.config import Config
from unrolled.errors import excerpt
from unrolled.strings import counted

__all__ = ["calibration", "code", "kept_model", "model_card"]

NO_DATA = "The data of its training are not known to this run, and no split of them was held out here."


def model_card(
    config: Config, record: dict[str, Any], *, pipeline: str, answers: str, command: str, data: str, result: str
) -> str:
    """Return the README.md of a run's folder.

    Args:
        config, record: settings and record of the run.
        pipeline: the name of the task on the Hugging Face Hub.
        answers: a sentence on the answers of the model.
        command: a command that gets an answer.
        data: the size of each split.
        result: a sentence on the result on the test split; "" if there is none.
    """
    architecture = lineage.architecture(config.model.name)
    imported = bool(record.get("imported"))
    data = NO_DATA if imported else data
    lines = [
        "---",
        "library_name: unrolled",
        f"pipeline_tag: {pipeline}",
        f"tags: [{config.model.name}, {config.task}]",
        "---",
        "",
        f"# {record['data']['name']}: {config.task} with {config.model.name}",
        "",
        f"Model *{architecture.name}* ({architecture.source}): {architecture.adds}. "
        f"{record['parameters']:,} parameters.",
        answers,
        "",
        "```",
        command,
        "```",
        "",
        "## Data",
        data if imported else f"{record['data']['source']} ({record['data']['how']}); {data}",
        "",
        "## Result",
        result or f"Not evaluated: {'it was imported' if imported else 'the data had no test split'}.",
        "",
        "## Training",
        f"{_origin(record) if imported else _training(config, record)}; {record['date']}. "
        "Every setting and version is in `run.json`.",
        "",
    ]
    return "\n".join(lines)


def _training(config: Config, record: dict[str, Any]) -> str:
    """Return a clause on the training of a run."""
    training, machine = record["training"], record["machine"]
    return (
        f"{training['updates']:,} updates ({training['stopped']}), kept: {kept_model(training)}; "
        f"seed {config.training.seed}; backend {record['backend']}; {training['tokens_per_second']:,.0f} tokens/s "
        f"on {machine['processor']}, {counted(machine['threads'], 'thread')}"
    )


def _origin(record: dict[str, Any]) -> str:
    """Return a clause on the origin of a run that was not trained here."""
    imported = record["imported"]
    return f"Not trained by unrolled: imported from {imported['source']}, in the layout of {imported['layout']}"


def kept_model(training: dict[str, Any]) -> str:
    """Return the model that a training kept, in words."""
    if not training.get("averaged"):
        return f"the model of update {training['best_update']:,}"
    *others, last = (f"{update:,}" for update in training["averaged"])
    return f"the mean of the models of updates {', '.join(others)} and {last}"


def calibration(record: dict[str, Any]) -> str:
    """Return a sentence on the temperature of a run, after a space, or "" if none was fitted."""
    found = record["result"].get("calibration")
    if found is None or "temperature" not in record:
        return ""
    return (
        f" Probabilities are calibrated by temperature {record['temperature']:.3g}, fitted on the validation split: "
        f"expected calibration error {found['error']:.3f}, {found['unscaled_error']:.3f} without it."
    )


def code(label: str) -> str:
    """Return a label in backticks, shortened to 40 characters, without backticks of its own."""
    return f"`{excerpt(label, 40).replace('`', '’')}`"
