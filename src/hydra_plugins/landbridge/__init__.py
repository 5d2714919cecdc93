"""landbridge's plugins for Hydra."""
