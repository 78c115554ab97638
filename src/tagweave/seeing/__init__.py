"""Pictures and tables of what a network is and where it looks."""
