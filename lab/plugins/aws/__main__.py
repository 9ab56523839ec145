"""`python -m lab.plugins.aws ENGINE`: serves the engine."""

from lab.plugins.aws.provider import Aws
from lab.plugins.resource_service import main

main(Aws)
