"""The database: its tables, its one writer, and its migrations."""
