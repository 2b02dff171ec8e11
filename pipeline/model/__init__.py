"""Values that every part of the pipeline shares. Imports nothing of ours."""
