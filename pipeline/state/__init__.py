"""The tables that all roles meet in, and the unit of work around them."""
