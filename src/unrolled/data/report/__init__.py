"""Data reports: statistics, issues and a chart of a data set, made before training."""
