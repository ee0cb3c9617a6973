"""Answers for whole files and data sets: shard by shard, by several processes, resumable."""
