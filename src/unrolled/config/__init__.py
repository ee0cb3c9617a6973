"""The schema of all settings: TOML on disk, flags on the command line, keyword arguments in Python.

Three sections (data, model, training); every field name is unique across them, so that a flag needs no section
(`--hidden-size 256`). `unrolled config` prints all settings with their defaults.
"""

from unrolled.config.config import MODEL_NAME, Config, fields
from unrolled.config.data import SEPARATORS, DataConfig
from unrolled.config.defaults import MODEL, TASK, TASK_DEFAULTS
from unrolled.config.flat import from_flat, refuse_unused
from unrolled.config.messages import sentences
from unrolled.config.model import ModelConfig
from unrolled.config.toml import chosen, from_toml, to_toml
from unrolled.config.training import Device, TrainingConfig, seconds

__all__ = [
    "MODEL",
    "MODEL_NAME",
    "SEPARATORS",
    "TASK",
    "TASK_DEFAULTS",
    "Config",
    "DataConfig",
    "Device",
    "ModelConfig",
    "TrainingConfig",
    "chosen",
    "fields",
    "from_flat",
    "from_toml",
    "refuse_unused",
    "seconds",
    "sentences",
    "to_toml",
]
