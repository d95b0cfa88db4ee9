"""The order of things in a run: admit, open, load, answer, save. One task owns each run; everybody else watches its log."""
