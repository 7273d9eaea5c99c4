"""`python -m polyrot`: the command line, where its script is not on the path."""

from polyrot.cli import main

main()
