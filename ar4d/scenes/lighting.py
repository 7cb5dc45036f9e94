"""The soft light under which objects are shown. It is fixed in the world and casts no shadows."""

LIGHT = (0.3, 0.7, 0.65)
"""Direction towards the light, not normalised."""
AMBIENT, DIFFUSE = 0.62, 0.5
SKY = 0.08
"""What is added times the normal's upward component."""
TEAM_COLOUR = (0.75, 0.12, 0.10)
"""Colour of the parts of 0 A.D.'s actors that take the player's colour."""
