"""What outside systems are still to be told, and who tells them."""
