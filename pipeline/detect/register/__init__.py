"""What people keep: the rules switched on, exceptions with an owner and an end, watch-lists."""
