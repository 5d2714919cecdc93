"""Plots and pictures of single runs."""
