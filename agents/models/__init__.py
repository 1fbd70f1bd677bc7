"""The line to a model: which serves a role, how it is spoken to, what it costs, what is kept."""
