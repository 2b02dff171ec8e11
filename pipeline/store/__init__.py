"""Where events are kept and asked for: one contract, the same answers from each store."""
