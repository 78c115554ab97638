"""The published tables and the other ways to propagate labels, as commands that anyone can run again."""
