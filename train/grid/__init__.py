"""Training of the grid expert (`ar4d/experts/grid/`)."""
