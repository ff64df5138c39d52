"""Small clouds, and files of them as other programs write them."""

from __future__ import annotations

from pathlib import Path

import numpy as np

ROWS = np.array([[1.5, -2.25, 0.125], [4.0, 5.0, 6.0], [-7.0, 8.5, -9.0]])
WARM = np.array([0.5, 0.25, 1.0], np.float32)
TEXT_PCD = """# .PCD v.7 - Point Cloud Data file format
VERSION .7
FIELDS x y z _ intensity
SIZE 4 4 4 1 4
TYPE F F F U F
COUNT 1 1 1 2 1
WIDTH 3
HEIGHT 1
VIEWPOINT 0 0 0 1 0 0 0
POINTS 3
DATA ascii
1.5 -2.25 0.125 0 0 0.5
nan nan nan 0 0 0
-7 8.5  -9 0 0 1.0
"""
OLD_PCD = "FIELDS x y z\nSIZE 4 4 4\nTYPE F F F\nWIDTH 3\nHEIGHT 1\nDATA binary\n"
TEXT_PLY = """ply
format ascii 1.0
comment made by hand
element camera 1
property float focal
element vertex 3
property float x
property float y
property float z
property uchar red
element face 2
property list uchar int vertex_indices
end_header
0.05
1.5 -2.25 0.125 7
4 5 6 8
-7 8.5 -9 9
3 0 1 2
4 0 1 2 0
"""


def write(folder: Path, name: str, content: str | bytes) -> Path:
    """A file of that content."""
    file = folder / name
    file.write_bytes(content.encode() if isinstance(content, str) else content)
    return file
