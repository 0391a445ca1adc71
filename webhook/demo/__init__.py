"""The demo: an invented household with two years of history, and a scripted evening; fake trackers on loopback."""
