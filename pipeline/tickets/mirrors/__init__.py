"""Outside systems that are told of tickets: one file each, all under the contract of `base.py`."""
