"""What keeps an installation over years: backup, retention, mending, moving."""
