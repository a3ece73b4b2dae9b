"""Spark: the same queries in its words, over its frames, run by its executors."""
