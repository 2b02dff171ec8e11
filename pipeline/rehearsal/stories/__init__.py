"""Six attacks, one file each: every step names its line and the rule that it must trip."""
