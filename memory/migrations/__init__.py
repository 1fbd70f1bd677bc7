"""Alembic's environment of the experiment store."""
