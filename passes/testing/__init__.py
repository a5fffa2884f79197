"""Passes that exist to test the driver; no pipeline uses them."""
