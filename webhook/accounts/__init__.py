"""Accounts at trackers: signing in, sealed credentials and their key, and settings made in the browser."""
