"""What the spec's tests share."""

from hypothesis import settings

# Colleagues share the machine: a slow example is no fault.
settings.register_profile("patient", deadline=None)
settings.load_profile("patient")
