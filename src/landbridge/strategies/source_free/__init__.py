"""Adaptation without source data."""
