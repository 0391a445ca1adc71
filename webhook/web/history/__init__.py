"""History: plays, shows and their episodes, and plays added by hand."""
