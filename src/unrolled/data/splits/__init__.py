"""Training, validation and test split of each kind of examples."""
