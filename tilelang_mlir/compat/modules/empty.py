"""A module of TileLang with nothing in it that programs use."""
