"""A finished run: the model that answers, its folder, and its model card."""
