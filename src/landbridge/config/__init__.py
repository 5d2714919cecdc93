"""The configuration compared with the code that it configures, and turned into objects."""
