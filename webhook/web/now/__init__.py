"""Now: what plays at this moment, with posters."""
