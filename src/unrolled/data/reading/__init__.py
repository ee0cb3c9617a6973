"""Reading: where rows, images and texts come from, and the formats they come in."""
