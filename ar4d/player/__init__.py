"""The player: viser's client with our timeline, camera and controls around it.

One set of web files (`web`) serves the page's viewer, which asks a server for what it shows, and the page
that `ar4d.formats.player` exports, which holds a `Recording` of the asset.
"""

PAPER = "https://arxiv.org/abs/2501.01722"
"""Where the player's credit leads to, if there is no page of our own."""
