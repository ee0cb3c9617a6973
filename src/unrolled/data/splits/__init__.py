"""Splits: the training, validation and test split of each kind of data."""
