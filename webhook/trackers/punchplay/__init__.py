"""PunchPlay: https://docs.punchplay.tv/playback-api, apps by Get API key at https://docs.punchplay.tv."""

from webhook.trackers.punchplay.payloads import LABEL
from webhook.trackers.punchplay.tracker import PURPOSE, SETUP, PunchPlay, Settings, build

__all__ = ["LABEL", "PURPOSE", "SETUP", "PunchPlay", "Settings", "build"]
