"""Sigma rules over Arrow batches: load, tie to data, compile, match; with a slow reference beside it."""
