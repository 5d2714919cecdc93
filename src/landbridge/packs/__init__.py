"""Packs: runs that train together in one process, as one batched program."""
