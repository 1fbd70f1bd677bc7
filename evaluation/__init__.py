"""Truth: gates, isolation, data, training, tiers and fitness."""
