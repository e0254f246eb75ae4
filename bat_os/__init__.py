"""BAT OS: a living image for local AI."""

__version__ = "0.1.0"
