"""Connections: accounts at trackers, lookups and media servers."""
