"""Sampling from large graphs: PageRank contexts, neighbour samples, clusters, out-of-core storage."""
