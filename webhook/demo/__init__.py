"""The demo: a scripted evening of viewing on loopback, with fake trackers."""
