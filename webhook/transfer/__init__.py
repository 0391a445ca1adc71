"""Transfer: imports, exports, catch-up with media servers, and backfill of trackers."""
