"""What each person watched: plays, the built-in library, follows, edits, and the numbers drawn from them."""
