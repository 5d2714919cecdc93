"""Sweeps of many runs: each run has its own process, and an interrupted sweep can go on later."""
