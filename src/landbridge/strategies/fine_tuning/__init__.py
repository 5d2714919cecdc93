"""Fine-tuning methods that retain knowledge of the initial model."""
