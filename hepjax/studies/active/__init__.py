"""A simulator in the loop: a Gaussian process asks for the points that a contour needs."""
