"""What an agent's answer must hold: the idea kept in a revision, numbers that the record knows."""
