"""The servers that grew from MediaBrowser: Jellyfin and Emby.

Not a server: the leading underscore keeps it out of the scan.
"""

from webhook.servers._mediabrowser.server import MediaBrowser

__all__ = ["MediaBrowser"]
