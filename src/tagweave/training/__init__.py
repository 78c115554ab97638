"""Training on cached maps, with exact resume."""
