"""Encoding of examples as ids or pixels, and their batches."""
