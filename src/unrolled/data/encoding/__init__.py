"""Encoding: examples become ids or pixels, and these become batches."""
