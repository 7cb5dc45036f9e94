"""Actors of the game 0 A.D., read from its `public.zip`."""
