"""Data sources and file formats of rows, images and texts."""
