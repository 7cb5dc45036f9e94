"""The page's steps, in the order of the work."""
