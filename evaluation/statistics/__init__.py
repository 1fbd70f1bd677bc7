"""Statistics of selection and of claims: pure functions over arrays of float64.

Losses are in nats and lower is better; a gain is a fall of the loss, so it is better when positive.
"""
