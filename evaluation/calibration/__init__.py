"""Is the judge to be believed: null campaigns that must claim nothing, and pairs of known order."""
