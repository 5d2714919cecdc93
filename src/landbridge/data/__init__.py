"""Domains, the streams that training reads, and the seal on target labels."""
