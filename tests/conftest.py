"""Fixtures that all tests share."""

from hypothesis import HealthCheck, settings

# Shared machines stall now and then; a slow draw is no finding.
settings.register_profile(
    "shared", deadline=None, suppress_health_check=[HealthCheck.too_slow], max_examples=60
)
settings.load_profile("shared")
