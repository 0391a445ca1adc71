"""The history: plays, the built-in library, follows, edits, and their statistics."""
