"""Which actors may be trained on, and which are reserved for the benchmark and for validation."""

from __future__ import annotations

import fnmatch
import json
from collections import Counter
from collections.abc import Collection, Iterable

import numpy as np

from ar4d.bench.catalogue import reserved
from ar4d.scenes.zeroad.actors import Archive, animated_actors

RESERVED = reserved()
"""Patterns of the actors in the benchmark; neither they nor others that show one of their meshes are used."""
RESERVED_WORDS = (
    "elephant", "deer", "lion", "croc", "hawk", "shark", "giraffe", "rabbit", "peacock", "tiger", "walrus",
    "camel", "chicken",
    "circle", "shoal",  # flocks rather than objects
)  # fmt: skip
"""Words in the names of meshes that show the same animals under other names, and of unsuitable meshes."""
STILL = ("fauna/muskox", "fauna/dragon", "fauna/whale", "fauna/fish", "fauna/sheep2")
"""Animals without animations."""
VALIDATION = (
    "skeletal/fox.dae", "skeletal/sanga_cattle_a.dae", "skeletal/sanga_cattle_b.dae", "skeletal/crow.dae",
    "skeletal/mastiff.dae", "skeletal/mastiff_no_spikes.dae", "skeletal/zebra.dae", "skeletal/goat.dae",
    "skeletal/goat_male.dae", "skeletal/new/m_pants_tunic_long.dae", "skeletal/new/m_robe.dae",
)  # fmt: skip
"""Meshes that are reserved for validation."""


def choose_actors(archive: Archive, validation: Collection[str] = VALIDATION) -> dict[str, float]:
    """The actors that may be used, with their sampling weights: animals and rare shapes weigh more.

    Actors with the same body mesh differ only in texture, clothes and weapons; together they weigh as much
    as a few actors.

    Args:
        archive: the game's art.
        validation: meshes for validation, of which a few actors suffice.
    """
    animated = animated_actors(archive)
    bodies: dict[str, list[str]] = {}
    for name in (*animated, *STILL):
        if not name.startswith(("fauna/", "units/", "special/pegasus")):
            continue
        if any(fnmatch.fnmatch(name, pattern) for pattern in RESERVED):
            continue
        actor = archive.actor(name)
        assert actor is not None
        assert actor.mesh is not None
        bodies.setdefault(actor.mesh, []).append(name)
    weights = {}
    for mesh, names in bodies.items():
        animal = names[0].startswith("fauna/") and "horse" not in mesh
        share = (10.0 if animal else 4.0) + (1.2 if animal else 0.5) * len(names)
        spread = np.linspace(0, len(names) - 1, 40).astype(int)
        chosen = names if len(names) <= 40 else [names[i] for i in spread]
        if mesh in validation:
            chosen, share = chosen[:3], 1.5
        weights |= {name: share / len(chosen) for name in chosen}
    return weights


def usage_json(actors: Iterable[tuple[str, bool]]) -> str:
    """How often each actor was used, as JSON, from names and whether the use is for validation."""
    used = Counter(name + " (validation)" * validation for name, validation in actors)
    return json.dumps(dict(sorted(used.items())), indent=1) + "\n"


def is_allowed(meshes: set[str], banned: frozenset[str]) -> bool:
    """Whether a clip that shows these meshes may be trained on."""
    named = any(word in mesh.lower() for mesh in meshes for word in RESERVED_WORDS)
    return bool(meshes) and not named and not meshes & banned


def reserved_meshes(archive: Archive) -> frozenset[str]:
    """Every mesh that any choice of a reserved actor's variants shows, its props included."""
    found: set[str] = set()
    seen: set[str] = set()

    def visit(path: str) -> None:
        root = archive.xml(path)
        if root is None or path in seen:
            return
        seen.add(path)
        for element in root.iter():
            file = element.get("actor") if element.tag == "prop" else element.get("file")
            if element.tag == "mesh" and element.text:
                found.add(element.text.strip())
            elif element.tag == "variant" and file:
                visit(f"art/variants/{file}")
            elif element.tag in ("prop", "actor") and file:
                visit(f"art/actors/{file.removesuffix('.xml')}.xml")

    for name in archive.actor_names():
        if any(fnmatch.fnmatch(name, pattern) for pattern in RESERVED):
            visit(f"art/actors/{name}.xml")
    return frozenset(found)
