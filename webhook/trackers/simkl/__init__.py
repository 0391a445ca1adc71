"""Simkl: https://api.simkl.org and https://simkl.docs.apiary.io, apps at https://simkl.com/settings/developer/."""

from webhook.trackers.simkl.payloads import LABEL
from webhook.trackers.simkl.tracker import FOR, SETUP, Settings, Simkl, build

__all__ = ["FOR", "LABEL", "SETUP", "Settings", "Simkl", "build"]
