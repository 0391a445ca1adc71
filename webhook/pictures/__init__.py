"""Pictures: posters and backdrops from webhooks, media servers and TMDB, kept on disk for the pages."""
