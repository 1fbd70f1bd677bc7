"""Judgement: the four agents, their prompts, and which model serves which role."""
