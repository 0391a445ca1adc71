"""Setup: the first start, the wizard and the sign-in."""
