"""Each tracker alone, with respx in the place of its service: no socket, no process, milliseconds a test."""
