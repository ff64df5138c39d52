"""Operators on compressed sparse rows: fused CPU kernels in plain C if there is a compiler, otherwise PyTorch."""
