"""The command line: one small file a verb; each parses, calls the API, and prints."""
