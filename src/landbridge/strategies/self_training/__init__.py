"""Learning from the model's own predictions."""
