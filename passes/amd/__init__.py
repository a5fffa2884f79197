"""What AMD machines do their own way."""
