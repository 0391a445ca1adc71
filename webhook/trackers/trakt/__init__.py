"""Trakt: https://docs.trakt.tv, sign-in at https://auth.trakt.tv."""

from webhook.trackers.trakt.payloads import LABEL
from webhook.trackers.trakt.tracker import PURPOSE, SETUP, Settings, Trakt, build

__all__ = ["LABEL", "PURPOSE", "SETUP", "Settings", "Trakt", "build"]
