"""TV Time: the person's built-in library, or any server that speaks the protocol of TV Time's app.

The service itself closed on 2026-07-15. Its app put one proxy, `/sidecar`, in front of several hosts;
the calls here are those that its last clients made (https://github.com/Zggis/plex-tvtime).
"""

from webhook.trackers.tvtime.responses import LABEL
from webhook.trackers.tvtime.tracker import PURPOSE, SETUP, Settings, TVTime, build

__all__ = ["LABEL", "PURPOSE", "SETUP", "Settings", "TVTime", "build"]
