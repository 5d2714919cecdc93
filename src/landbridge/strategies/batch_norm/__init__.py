"""Adaptation of BatchNorm layers before the test."""
