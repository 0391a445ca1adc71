"""Setup: the first start, the addresses to paste, and the sign-in."""
