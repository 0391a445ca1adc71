"""Transfer: imports and exports, with uploads of any size."""
