"""Checks a configuration against the code that it configures, and builds objects from it."""
