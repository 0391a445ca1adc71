"""The operating system: files, permissions, shipped resources and the event loop."""
