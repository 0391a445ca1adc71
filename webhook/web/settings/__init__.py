"""Settings that are made in the browser, backups, and the version."""
