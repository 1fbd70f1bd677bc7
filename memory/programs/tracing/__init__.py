"""A program followed by value, from its input to what it answers (`answer`).

Statements are in `running`, calls in `calling`; `values` and `labels` are the vocabulary.
"""
