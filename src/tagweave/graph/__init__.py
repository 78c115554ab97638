"""Label propagation over a graph of similar images. NumPy, SciPy, faiss and numba; no torch."""
