"""Decoding: from a model's logits to an answer, over the contract of models alone.

Import each name from its own file (`from unrolled.decoding.search import Beam`): this package imports none of them, so
that the options of decoding can be read without torch.
"""
