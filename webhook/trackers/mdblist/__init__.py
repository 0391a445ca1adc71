"""MDBList: https://api.mdblist.com/docs/, keys at https://mdblist.com/preferences/#api."""

from webhook.trackers.mdblist.payloads import LABEL
from webhook.trackers.mdblist.tracker import PURPOSE, SETUP, MDBList, Settings, build

__all__ = ["LABEL", "PURPOSE", "SETUP", "MDBList", "Settings", "build"]
