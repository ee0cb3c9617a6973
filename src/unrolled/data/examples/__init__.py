"""Examples: labelled texts, images, pairs, tagged sentences and plain text, as they were read."""
