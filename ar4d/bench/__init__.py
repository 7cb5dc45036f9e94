"""The benchmark: objects × variants × seeds, measured by the papers' protocols, resumable, reported."""
