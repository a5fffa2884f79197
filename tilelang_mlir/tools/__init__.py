"""Command-line tools. `tl-opt` runs passes on IR text; the others generate documentation."""
