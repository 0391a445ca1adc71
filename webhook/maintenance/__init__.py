"""What keeps an installation well: pruning, backups, checks for damage, notifications."""
