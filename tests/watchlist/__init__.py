"""The watchlist: by hand, read from services, sent to them, and left by what was watched."""
