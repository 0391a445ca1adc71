"""Now: what plays at this moment."""
