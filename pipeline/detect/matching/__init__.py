"""Many rules over many events at once; the reference evaluator that says what is right."""
