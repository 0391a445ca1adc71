"""The web, by feature: each folder has its pages, its part of the JSON API under /api/v1, and their shared actions."""
