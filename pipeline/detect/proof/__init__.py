"""What a rule of ours must prove before it may go live: evidence, law, lock, opened references."""
