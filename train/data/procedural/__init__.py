"""Objects that nobody has to download: their parts in any pose, and clouds of points on them."""
