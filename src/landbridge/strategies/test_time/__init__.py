"""Adaptation to test batches while they are predicted."""
