"""Validity checks before any training, one ladder: cheap first, each with figure and limit."""
