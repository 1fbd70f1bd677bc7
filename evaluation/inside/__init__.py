"""What runs in a box, beside candidate code: the only part of the evaluation that imports torch.

Nothing computed here is a number that anyone ranks by; what comes out is an output, a weight or a
claim, and the trusted side compares, counts and computes.
"""
