"""Fine-tuning that keeps what the initial model knew."""
