"""Domains, the streams that training sees, and the seal on target labels."""
