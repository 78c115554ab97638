"""``python -m tagweave``: the command line where its script is not on the path."""

from tagweave.cli import main

main()
