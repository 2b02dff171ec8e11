"""Sigma correlations: read, evaluated over stored matches, judged within a run."""
