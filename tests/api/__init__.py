"""The HTTP contract, from outside."""
