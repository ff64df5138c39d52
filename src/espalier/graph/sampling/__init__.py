"""Parts of graphs too large to take whole: PageRank contexts, neighbour samples, clusters, out-of-core storage."""
