"""People of the household, their tokens and the apps they let in."""
