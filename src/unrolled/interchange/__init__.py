"""Models that leave for other libraries, one module or room for each format; the table of them is in formats.py."""
