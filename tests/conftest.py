"""What all tests share: property-based tests that judge behaviour, never how fast the machine is today."""

from importlib.util import find_spec

if find_spec("hypothesis"):  # the chart's environment is without
    from hypothesis import HealthCheck, settings

    settings.register_profile("mesh", deadline=None, suppress_health_check=[HealthCheck.too_slow])
    settings.load_profile("mesh")
