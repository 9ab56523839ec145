"""Settings of all tests."""

import functools

import botocore.loaders
from hypothesis import HealthCheck, settings

# No test judges by the clock: a machine that is busy is slow, not wrong.
settings.register_profile("patient", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("patient")

# The models of AWS's services are read once a process, not once a session: EC2's alone take longer than any test.
botocore.loaders.create_loader = functools.cache(botocore.loaders.create_loader)
