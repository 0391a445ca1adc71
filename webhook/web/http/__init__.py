"""Shared parts of the web: pages, API, sessions, errors, parameters and templates."""
