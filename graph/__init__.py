"""Order: the state machine of one experiment and the campaign that runs many."""
