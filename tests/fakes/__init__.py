"""Fakes: small servers that speak each tracker's contract, on loopback."""
