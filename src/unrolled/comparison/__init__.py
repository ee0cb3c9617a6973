"""Comparison of models at equal size: the quantities that are matched, and the width that matches them."""
