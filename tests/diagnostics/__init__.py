"""Wrong programs with the messages they get: one file per family."""
