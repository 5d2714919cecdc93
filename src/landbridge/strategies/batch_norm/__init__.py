"""Strategies that adapt BatchNorm layers before the test."""
