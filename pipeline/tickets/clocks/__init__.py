"""Promises and legal deadlines: calendars, policy packs, and the clocks of a ticket."""
