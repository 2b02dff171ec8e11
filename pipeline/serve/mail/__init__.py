"""Letters that the system writes: alarms and notices."""
