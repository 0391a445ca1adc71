"""Pure values and decisions: events, items, plays, rules, outcomes. Nothing here reads or writes anything."""
