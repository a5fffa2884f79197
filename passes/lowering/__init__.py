"""From the scheduled tile program to the program of one thread: one rule per operation."""
