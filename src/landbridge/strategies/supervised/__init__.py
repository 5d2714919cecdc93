"""Supervised training without adaptation, as a reference."""
