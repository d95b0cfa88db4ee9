"""Credentials, and what they let anybody do."""
