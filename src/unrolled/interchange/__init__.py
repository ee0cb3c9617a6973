"""Models that leave for other libraries, or come from them."""
