"""References without adaptation."""
