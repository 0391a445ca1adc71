"""People, their tokens and scopes, household rules and passwords."""
