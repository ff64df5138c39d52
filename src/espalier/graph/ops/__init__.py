"""Operators on compressed sparse rows: fused CPU kernels in plain C where a compiler is there, PyTorch everywhere."""
