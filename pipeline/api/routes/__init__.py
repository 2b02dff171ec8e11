"""What is served, one file per kind of record."""
