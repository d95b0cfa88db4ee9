"""`waggle doctor`."""
