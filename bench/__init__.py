"""Measurements, each a ratio against a limit in the same run. `python -m bench` runs them all."""
