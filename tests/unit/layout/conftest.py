"""Hypothesis without deadlines: the machines that run the tests are shared."""

from __future__ import annotations

from hypothesis import settings

settings.register_profile("layout", deadline=None, max_examples=60)
settings.load_profile("layout")
