"""The default light, under which half of all training objects are shown."""

LIGHT = (0.3, 0.7, 0.65)
"""Direction towards the light, fixed in the world; not normalised."""
AMBIENT, DIFFUSE = 0.62, 0.5
TEAM_COLOUR = (0.75, 0.12, 0.10)
"""Colour of the parts of 0 A.D.'s actors that take the player's colour."""
DEFAULT_LIGHT_PROB = 0.5
"""Probability that an object is shown under this light rather than a random one."""
