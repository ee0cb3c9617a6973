"""Every numeric limit of the tests, with its reason."""

FLOAT64 = 1e-12
"""Two float64 computations of one formula in another order, values of order 1: some hundred roundings of 1e-16."""

CHANCE_SIGMAS = 5.0
"""A seeded sample's mean may be this many standard errors off: one in two million, and the seed is fixed."""
