"""`python -m twinplane`: the command."""

from twinplane.cli import main

main()
