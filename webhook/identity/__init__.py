"""Identity: find the item of a play by lookups, remember the results, and apply people's choices."""
