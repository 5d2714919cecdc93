"""Writes the model of a finished run for use without landbridge: ONNX, torch.export, and plain weights."""
