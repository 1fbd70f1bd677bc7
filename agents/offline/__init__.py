"""The model that needs no key: it designs by the grammar and words what the record says."""
