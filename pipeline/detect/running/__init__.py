"""Scheduled runs: windows, leases, coverage, findings, and what takes findings back."""
