"""Agencies, their sources, and the keys and addresses that sources are known by."""
