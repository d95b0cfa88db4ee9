"""The suite: the tree of `app/`, and the servers it is tested against."""
