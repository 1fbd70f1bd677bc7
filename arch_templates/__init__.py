"""The object of study: the token mixer contract, its ops, and hand-written templates."""
