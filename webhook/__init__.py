"""Watchmark: a play that your media server reported is never lost, never counted twice."""
