"""Drivers of the world: what BAT OS can reach outside of the image, where a person granted it."""
