"""Traces, as backends receive them."""
