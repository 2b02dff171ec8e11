"""The console: the web pages of analysts, officers, auditors and administrators."""
