"""Training, validation and test split of each kind of examples, by the rules of `data/splitting.py`."""
