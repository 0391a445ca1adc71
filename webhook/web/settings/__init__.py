"""Settings made in the browser, backups and the version."""
