"""How often training objects are shown under the default light of `ar4d.scenes.lighting`."""

DEFAULT_LIGHT_PROB = 0.5
"""Probability that an object is shown under this light rather than a random one."""
