"""The schema of all settings: TOML on disk, flags on the command line, keyword arguments in Python.

Three sections (data, model, training); every field name is unique across them, so that a flag needs no section
(`--hidden-size 256`). `unrolled config` prints all settings with their defaults.
"""

from unrolled.config.config import MODEL_NAME, SECTIONS, Config, by_data, fields, most_batch_tokens
from unrolled.config.data import SEPARATORS, DataConfig
from unrolled.config.defaults import BY_COMPARISON, IMAGES, MODEL, TASK, TASK_DEFAULTS
from unrolled.config.flat import from_flat
from unrolled.config.messages import sentences
from unrolled.config.model import ModelConfig
from unrolled.config.refusals import refusal, refuse_misread_images, refuse_unused
from unrolled.config.spelling import spelled, spelled_as_flags
from unrolled.config.toml import chosen, from_toml, to_toml
from unrolled.config.training import BestBy, Device, TrainingConfig, seconds
from unrolled.config.uses import BLOCKS, EMBEDDING, HEADED, Choice, unused, unused_options, used

__all__ = [
    "BLOCKS",
    "BY_COMPARISON",
    "EMBEDDING",
    "HEADED",
    "IMAGES",
    "MODEL",
    "MODEL_NAME",
    "SECTIONS",
    "SEPARATORS",
    "TASK",
    "TASK_DEFAULTS",
    "BestBy",
    "Choice",
    "Config",
    "DataConfig",
    "Device",
    "ModelConfig",
    "TrainingConfig",
    "by_data",
    "chosen",
    "fields",
    "from_flat",
    "from_toml",
    "most_batch_tokens",
    "refusal",
    "refuse_misread_images",
    "refuse_unused",
    "seconds",
    "sentences",
    "spelled",
    "spelled_as_flags",
    "to_toml",
    "unused",
    "unused_options",
    "used",
]
