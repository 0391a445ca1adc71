"""Maintenance of an installation: pruning, backups, integrity checks and notifications."""
