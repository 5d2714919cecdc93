"""What a user types, until there is a configuration, and how the command ends."""
