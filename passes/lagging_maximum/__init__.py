"""The pass `lagging-maximum`: pattern, what may depend on it, rewriting."""
