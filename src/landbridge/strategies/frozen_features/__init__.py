"""Strategies that train or compute a head on the features of a frozen backbone."""
