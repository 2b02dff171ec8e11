"""Onboarding: from pasted lines to a source that sends. Decided in pure functions, kept in `drafts`, done by `publish`."""
