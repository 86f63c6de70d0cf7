"""Comparisons and experiments: many runs, one table, one figure."""
