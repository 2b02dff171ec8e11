"""Files that others write, followed: which there are, which of them are known, and the lines they gain."""
