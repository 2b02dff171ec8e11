"""What pages read from the state and nobody else asks for: one file an area, each with actor and scope."""
