"""The front end: rewriting, tracing and building of level-1 IR."""
