"""Rule texts and the taxonomy in, parsed rules tied to data out."""
