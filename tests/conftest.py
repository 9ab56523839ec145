"""Settings of all tests."""

from hypothesis import HealthCheck, settings

# No test judges by the clock: a machine that is busy is slow, not wrong.
settings.register_profile("patient", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("patient")
