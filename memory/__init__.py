"""What is known: experiments, cognition, novelty and the candidate pool."""
