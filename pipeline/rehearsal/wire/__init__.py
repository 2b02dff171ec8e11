"""One file per product: its lines as the product itself writes them, and a day of its noise."""
