"""Slow reference versions of METHOD.md, written from the page alone, in float64, to test the package against."""
