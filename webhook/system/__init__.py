"""The machine below: files, permissions, what is shipped beside the code, and the event loop."""
