"""Simkl: https://api.simkl.org and https://simkl.docs.apiary.io, apps at https://simkl.com/settings/developer/."""

from webhook.trackers.simkl.payloads import LABEL
from webhook.trackers.simkl.tracker import PURPOSE, SETUP, Settings, Simkl, build

__all__ = ["LABEL", "PURPOSE", "SETUP", "Settings", "Simkl", "build"]
