"""The description of the JSON API, for people and for machines."""
