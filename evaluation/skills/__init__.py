"""Synthetic skills: what a mixer can remember, select, infer and track, each with its floor."""
