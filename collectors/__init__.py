"""Bytes in, raw records and columns out. Knows nothing of stores, rules or tickets."""
