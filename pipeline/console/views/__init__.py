"""One file a page: a visit comes in, an answer goes out. Reading and writing is the use cases' work."""
