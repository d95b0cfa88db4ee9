"""Tests of what knows AutoGen."""
