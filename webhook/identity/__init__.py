"""Which item a play is of: lookups asked and remembered, and the choices that people made."""
