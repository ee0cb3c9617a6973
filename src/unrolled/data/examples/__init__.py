"""Examples of each task: labelled texts, images, pairs, tagged sentences and plain text."""
