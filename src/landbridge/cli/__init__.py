"""The command line before a configuration is composed, and the exit of the command."""
