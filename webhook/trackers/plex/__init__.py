"""Plex: https://developer.plex.tv/pms, and the watchlist of its account."""

from webhook.trackers.plex.sign_in import LABEL
from webhook.trackers.plex.tracker import PURPOSE, SETUP, Plex, Settings, build

__all__ = ["LABEL", "PURPOSE", "SETUP", "Plex", "Settings", "build"]
