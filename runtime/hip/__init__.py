"""Loading and launching on AMD devices through libamdhip64."""
