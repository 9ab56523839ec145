"""`python -m lab.plugins.eks ENGINE`: serves the engine."""

from lab.plugins.eks.provider import main

main()
