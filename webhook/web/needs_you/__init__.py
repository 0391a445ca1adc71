"""Needs you: everything that waits for a person."""
