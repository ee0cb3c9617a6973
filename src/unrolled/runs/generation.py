"""A trained language model: decode, stream, evaluate, and the example that `explain` reads."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

from unrolled.data.encoding.corpus import TextSplit, load_corpus, load_split
from unrolled.data.encoding.tokenizers import BOS, SPECIAL, Tokenizer
from unrolled.decoding.finite import refuse_infinite
from unrolled.decoding.generation import Continuation, decode, guesses, score_each_token, score_tokens, stream
from unrolled.decoding.options import GenerationOptions, GenerationStreamOptions, documented
from unrolled.decoding.sampling import Sampling
from unrolled.errors import DataError, excerpt
from unrolled.evaluation import GenerationResult, evaluate_generation
from unrolled.evaluation.by_example import BLOCK, ByExample, score_blocks
from unrolled.runs.reading import allowed_length, own_test, reading, separate, warn_of_training_data
from unrolled.runs.run import MAX_LENGTH, Run
from unrolled.strings import NOT_UNICODE, has_surrogate

if TYPE_CHECKING:
    from unrolled.inside import Example

__all__ = ["GenerationRun", "block_texts"]

SHOWN = 60
"""Number of tokens of a block that are shown."""
NAMED = 5
"""Number of unknown tokens that a message names."""


class GenerationRun(Run):
    """A trained language model."""

    answer = "each"

    EXAMPLE_INPUT = '--prompt "a beginning"'

    @documented(GenerationOptions)
    def decode(
        self,
        prompts: str | Iterable[str] = "",
        **options: Any,
    ) -> list[Continuation]:
        """Return the continuation of one prompt or many, in order. It does not depend on the other prompts.

        Args:
            prompts: texts to continue; "" starts a new one.
            options: listed below; at temperature 0, options that draw are refused.

        Raises:
            DataError: a prompt is not a string, or contains a token that the run does not know.
            ConfigError: an option is unknown, out of range or without effect.
        """
        prompts = [prompts] if isinstance(prompts, str) else list(prompts)
        chosen = GenerationOptions.parse(options, task=self.config.task)
        read = [(prompt, self.ids(prompt, number)) for number, prompt in enumerate(prompts)]
        sampling = Sampling.from_options(chosen)
        with self.answering(chosen.precision):
            return decode(self.model, self.tokenizer, read, sampling, length=chosen.length, stop=chosen.stop)

    @documented(GenerationStreamOptions)
    def stream(self, prompt: str = "", **options: Any) -> Iterator[str]:
        """Yield the text that `decode` would write, in pieces, as it is written; without a length, endlessly.

        A recurrent model takes constant memory and time for each token. Errors are those of `decode`, and raised at
        once.

        Args:
            prompt: text to continue; "" starts a new one.
            options: listed below.
        """
        chosen = GenerationStreamOptions.parse(options, task=self.config.task)
        ids, sampling = self.ids(prompt, 0), Sampling.from_options(chosen)
        how = {"length": chosen.length, "stop": chosen.stop, "precision": chosen.precision}
        return stream(self.model, self.tokenizer, ids, sampling, **how)  # type: ignore[arg-type]

    def refuse(self, prompt: str) -> None:
        """Refuse a prompt that `decode` would refuse.

        Raises:
            DataError: it contains a token that the run does not know.
        """
        self.ids(prompt, 0)

    def example(self, input: Any, *, max_length: int = MAX_LENGTH) -> Example:
        """Return a text, or a list of its tokens, as an input of the model; each token and the next are explained."""
        from unrolled.inside import Example
        from unrolled.inside.tokens import read, truncate

        longest = allowed_length(max_length, self.model.max_length) - 1  # <bos> is read first
        tokens, note = truncate(read(self.tokenizer, input), longest)
        self.ids(tokens.text, 0)  # refuses unknown tokens
        return Example(
            text=tokens.text,
            inputs=torch.tensor([[BOS, *tokens.ids]]),
            tokens=(SPECIAL[BOS], *tokens.tokens),
            spans=((0, 0), *tokens.spans),
            steps=torch.arange(len(tokens.ids) + 1),
            answers=torch.tensor([*tokens.ids, -1]),
            meanings=self.tokenizer.tokens,
            truncated=note,
        )

    def evaluate(
        self, data: object = None, *, cache: str | None = None, test_split: bool = False, **options: Any
    ) -> GenerationResult:
        """Measure how well the model predicts `data`, by default the run's own test split.

        Each token is scored once, given all tokens before it, in one stream from the first to the last.

        Args:
            data: a text file, a folder, a list of these, a sample's name; None: the run's own test split.
            cache: folder for the ids; default: the user's cache folder.
            test_split: whether `data` are those of the training, of which the test split is used.
            options: precision, "float32" (default) or "int8".

        Raises:
            DataError: a text cannot be read, or (with None) training data that are missing or have changed.
            ConfigError: another option was given.
        """
        result: GenerationResult = self.evaluated(data, test_split, {"cache": cache, **options})
        return result

    def held_out(self, data: object, test_split: bool, options: Mapping[str, Any]) -> dict[str, Any]:
        """Read the text of an evaluation; return the keyword argument of `result` and `scores`."""
        settings, _ = separate(self, options, "cache")
        config = reading(self, **settings)
        if data is not None and not test_split:
            warn_of_training_data(self, data)
            return {"text": load_split(data, config, self.tokenizer)}
        return {"text": own_test(self, lambda name: load_corpus(name, config, self.tokenizer).splits["test"], data)}

    def result(self, text: TextSplit) -> GenerationResult:
        """Evaluate on a text that is already read."""
        scored = score_tokens(self.model, text.ids)
        refuse_infinite(scored.nats)
        return evaluate_generation(
            *scored,
            characters=text.characters,
            unknown=text.unknown,
            train_counts=self.record["data"]["counts"],
            counts=text.counts(self.tokenizer.vocabulary_size),
        )

    def answers(self, text: TextSplit) -> NDArray[np.int64]:
        """Return the most probable token at the place of each token, (N,)."""
        return guesses(self.model, text.ids)

    def scores(self, text: TextSplit) -> ByExample:
        """Return the bits of each block of tokens, times blocks / characters."""
        nats = score_each_token(self.model, text.ids)
        refuse_infinite(nats)
        return score_blocks(nats, text.characters, block_texts(self.tokenizer, text))

    def card(self) -> dict[str, str]:
        """Return the fields of its model card that depend on the task."""
        splits = self.record["data"]["splits"].items()
        result = self.record["result"]
        return {
            "pipeline": "text-generation",
            "answers": f"It continues a text, {self.config.data.tokenizer} by {self.config.data.tokenizer}: "
            f"{self.tokenizer.vocabulary_size:,} tokens.",
            "command": f"unrolled decode THIS_FOLDER {self.EXAMPLE_INPUT}",
            "data": ", ".join(f"{split} {values['characters']:,}" for split, values in splits)
            + " characters. Text that it writes resembles that data and states no facts.",
            "result": _result(result) if result else "",
        }

    def ids(self, prompt: object, number: int = 0) -> list[int]:
        """Return the ids of a prompt.

        Args:
            prompt: the text.
            number: its number among several, for messages.

        Raises:
            DataError: it is not a string, or contains a token that the run does not know.
        """
        if not isinstance(prompt, str):
            raise DataError(f"prompt {number} is a {type(prompt).__name__}, not a string", fix="give strings")
        if has_surrogate(prompt):
            raise DataError(
                f"prompt {number} {NOT_UNICODE}", fix="remove the unpaired surrogate, or decode the text as UTF-8"
            )
        if unknown := self.tokenizer.unknown(prompt):
            first: dict[str, int] = {}
            for position, token in unknown:
                first.setdefault(token, position)
            shown = ", ".join(_named(token, position) for token, position in islice(first.items(), NAMED))
            more = f" and {len(first) - NAMED} more" if len(first) > NAMED else ""
            raise DataError(
                f"the text contains tokens that the run does not know: {shown}{more}",
                line=number,
                unit="prompt",
                row=prompt,
                fix="remove them, or train with tokenizer byte or bpe, which know every character",
            )
        return [int(i) for ids in self.tokenizer.encode_blocks([prompt]) for i in ids]


def block_texts(tokenizer: Tokenizer, text: TextSplit) -> list[str]:
    """Return the beginning of the text of each block that is an example; see `score_blocks`."""
    starts = range(0, len(text), BLOCK)
    return [tokenizer.decode(text.ids[start : min(start + BLOCK, start + SHOWN)].tolist()) for start in starts]


def _result(result: dict[str, Any]) -> str:
    low, high = result["bits_per_character_interval"]
    return (
        f"On {result['characters']:,} held-out characters: {result['bits_per_character']:.3f} bits per character "
        f"(95 % interval {low:.3f} to {high:.3f}); {result['loss_nats']:.3f} nats a token, perplexity "
        f"{result['perplexity']:.2f}. By the frequency of each token alone: "
        f"{result['frequency_bits_per_character']:.3f} bits."
    )


def _named(token: str, position: int) -> str:
    code = f" (U+{ord(token):04X})" if len(token) == 1 else ""
    return f'"{excerpt(token, 20)}"{code} at character {position + 1}'
