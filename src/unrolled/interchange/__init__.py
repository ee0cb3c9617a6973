"""Models that leave for other libraries, or come from them; the table of the formats is in formats.py."""
