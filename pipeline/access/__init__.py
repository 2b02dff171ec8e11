"""People, roles, sessions, links and tokens, and the one table that says who may do what."""
