"""Numba kernels, what compiles them and what runs them on several threads. They know nothing above them."""
