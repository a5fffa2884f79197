"""Counterparts of TileLang's modules that exist for programs written for it."""
