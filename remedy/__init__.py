"""remedy holds a Docker host's networking to a desired state."""

__version__ = "0.1.0"
