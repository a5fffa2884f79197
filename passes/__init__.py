"""Passes over tile programs: the registry, pipeline texts, the driver that runs them, and the passes themselves."""
