"""What owns a run."""
