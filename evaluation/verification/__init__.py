"""From a candidate to a certificate: matched twin, holdout seeds, claim, minimal cause."""
