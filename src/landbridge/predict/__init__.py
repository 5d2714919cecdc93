"""A finished run as a model: it is opened without its data, and predicts new samples."""
