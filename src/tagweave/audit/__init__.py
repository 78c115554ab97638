"""Which given labels are most likely wrong: from probabilities that were made without them."""
