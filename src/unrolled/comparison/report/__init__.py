"""The report of a comparison: the results as one JSON value, and its texts, tables, charts and page."""
