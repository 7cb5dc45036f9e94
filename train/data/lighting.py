"""The default light, in which half of all training objects stand."""

LIGHT = (0.3, 0.7, 0.65)  # towards it, fixed in the world
AMBIENT, DIFFUSE = 0.62, 0.5
TEAM_COLOUR = (0.75, 0.12, 0.10)
PLAIN_LIGHT = 0.5  # share of objects under it
