"""Procedural people: a body in a stance, dressed, with things in its hands."""

from train.data.procedural.parts import Making
from train.data.procedural.people.person import person, rider

PEOPLE: dict[str, Making] = {"person": person, "rider": rider}
"""Makers by kind. Bodies are symmetric about z = 0; what they carry is not."""
