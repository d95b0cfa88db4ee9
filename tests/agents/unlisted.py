"""What no component may name: a test sees whether it is imported."""
