"""Strategies that adapt a source model without source data."""
