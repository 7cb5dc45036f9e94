"""Procedural animals of all families."""

from train.data.procedural.fauna import birds, breeds, crawlers, reptiles, swimmers
from train.data.procedural.fauna.quadruped import quadruped
from train.data.procedural.parts import Making

FAUNA: dict[str, Making] = {
    **{family: quadruped(family) for family in breeds.breeds().families},
    "bird": birds.bird,
    "flyer": birds.flyer,
    "reptile": reptiles.reptile,
    "tortoise": reptiles.tortoise,
    "frog": reptiles.frog,
    "dinosaur": reptiles.dinosaur,
    "fish": swimmers.fish,
    "whale": swimmers.whale,
    "insect": crawlers.insect,
    "spider": crawlers.spider,
    "crab": crawlers.crab,
}
"""Makers by kind; all of them build bodies that are symmetric about z = 0."""
