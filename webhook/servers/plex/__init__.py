"""Plex Media Server: https://developer.plex.tv/pms"""

from webhook.servers.plex.server import LABEL, PURPOSE, SETUP, Plex, Settings, build

__all__ = ["LABEL", "PURPOSE", "SETUP", "Plex", "Settings", "build"]
