"""Where candidate code runs: the warm parent, its boxes, and the walls around them."""
