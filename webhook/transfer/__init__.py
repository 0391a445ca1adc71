"""Transfer: history in and out. Imports, exports, catch-up with the media servers, backfill of a tracker."""
