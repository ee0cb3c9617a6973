"""Networks in plain PyTorch, without any import of this package: each file is written next to the weights of a run."""
