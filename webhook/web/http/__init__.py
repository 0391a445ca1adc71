"""What all of the web shares: pages, API, sessions, errors, parameters and templates."""
