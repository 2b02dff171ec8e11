"""The queue: findings become tickets, people work on them, outside systems are told."""
