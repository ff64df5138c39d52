"""Where the cells of a grid lie in the world: cells are numbered from the world's origin, whatever the grid covers."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Frame:
    """A rectangle of square cells. Rows go with y, columns with x, both upwards.

    cell_m: side of a cell, metres. row, col: world numbers of the first row and column; cell (r, c) of the world covers
    x in [c, c + 1) * cell_m and y in [r, r + 1) * cell_m, so the same ground has the same cell in every frame of its
    size. rows, cols: how many.
    """

    cell_m: float
    row: int
    col: int
    rows: int
    cols: int

    @classmethod
    def around(cls, x: float, y: float, size_m: float, cell_m: float) -> Frame:
        """The square of `size_m` metres whose middle is nearest to (x, y)."""
        n = max(round(size_m / cell_m), 1)
        return cls(cell_m, round(y / cell_m - n / 2), round(x / cell_m - n / 2), n, n)

    @classmethod
    def covering(cls, low: Floats, high: Floats, cell_m: float) -> Frame:
        """The smallest one that holds the points `low` and `high`, (2,) x and y."""
        (col, row), (last_col, last_row) = np.floor(low / cell_m).astype(int), np.floor(high / cell_m).astype(int)
        return cls(cell_m, int(row), int(col), int(last_row - row) + 1, int(last_col - col) + 1)

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return self.rows, self.cols

    @property
    def bounds(self) -> tuple[float, float, float, float]:
        """Least x, least y, greatest x, greatest y; metres."""
        x, y = self.col * self.cell_m, self.row * self.cell_m
        return x, y, x + self.cols * self.cell_m, y + self.rows * self.cell_m

    def centres(self) -> Floats:
        """(rows * cols, 2): x and y of the middle of each cell, row by row."""
        x = (self.col + np.arange(self.cols) + 0.5) * self.cell_m
        y = (self.row + np.arange(self.rows) + 0.5) * self.cell_m
        return np.stack(np.meshgrid(x, y), axis=-1).reshape(-1, 2)

    def cells(self, xy: Floats) -> Ints:
        """(n, 2): row and column within this frame of each of (n, 2) points; they may lie outside."""
        cells = np.floor(np.asarray(xy, np.float64) / self.cell_m).astype(np.int64)
        return cells[:, ::-1] - (self.row, self.col)

    def inside(self, cells: Ints) -> npt.NDArray[np.bool_]:
        """(n,): whether (n, 2) rows and columns lie in this frame."""
        rows, cols = cells[:, 0], cells[:, 1]
        return (rows >= 0) & (rows < self.rows) & (cols >= 0) & (cols < self.cols)
