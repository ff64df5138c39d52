"""One polynomial of degree 5 a piece: from the states at its ends to its coefficients, and what follows from them.

A state is (3, 3): position, velocity and acceleration, each x, y, z. Coefficients are (6, 3), the constant first.
Jerk and snap are the third and the fourth derivative.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from numba import njit

Floats = npt.NDArray[np.float64]


@njit(cache=True)
def through(states: Floats, durations: Floats) -> Floats:
    """(m, 6, 3): the pieces that join states (m + 1, 3, 3) in durations (m,), seconds."""
    out = np.empty((len(durations), 6, 3))
    for i, t in enumerate(durations):
        for x in range(3):
            p, v, a = states[i, 0, x], states[i, 1, x], states[i, 2, x]
            far = states[i + 1, 0, x] - p - t * (v + 0.5 * t * a)
            fast = t * (states[i + 1, 1, x] - v - t * a)
            push = t * t * (states[i + 1, 2, x] - a)
            out[i, 0, x], out[i, 1, x], out[i, 2, x] = p, v, 0.5 * a
            out[i, 3, x] = (10.0 * far - 4.0 * fast + 0.5 * push) / t**3
            out[i, 4, x] = (-15.0 * far + 7.0 * fast - push) / t**4
            out[i, 5, x] = (6.0 * far - 3.0 * fast + 0.5 * push) / t**5
    return out


@njit(cache=True)
def pulled_back(slopes: Floats, states: Floats, durations: Floats, coefficients: Floats) -> tuple[Floats, Floats]:
    """By states (m + 1, 3, 3) and by durations (m,): the gradient of something whose gradient by the coefficients is
    `slopes` (m, 6, 3), where these are `through(states, durations)`.
    """
    by_states, by_durations = np.zeros_like(states), np.zeros(len(durations))
    for i, t in enumerate(durations):
        for x in range(3):
            three, four, five = slopes[i, 3, x] / t**3, slopes[i, 4, x] / t**4, slopes[i, 5, x] / t**5
            far = 10.0 * three - 15.0 * four + 6.0 * five
            fast = -4.0 * three + 7.0 * four - 3.0 * five
            push = 0.5 * three - four + 0.5 * five
            v, a = states[i, 1, x], states[i, 2, x]
            by_states[i, 0, x] += slopes[i, 0, x] - far
            by_states[i, 1, x] += slopes[i, 1, x] - t * (far + fast)
            by_states[i, 2, x] += 0.5 * slopes[i, 2, x] - t * t * (0.5 * far + fast + push)
            by_states[i + 1, 0, x] += far
            by_states[i + 1, 1, x] += t * fast
            by_states[i + 1, 2, x] += t * t * push
            by_durations[i] += (states[i + 1, 1, x] - v - 2.0 * t * a) * fast - (v + t * a) * far
            by_durations[i] += 2.0 * t * (states[i + 1, 2, x] - a) * push
            for k in range(3, 6):
                by_durations[i] -= k * slopes[i, k, x] * coefficients[i, k, x] / t
    return by_states, by_durations


@njit(cache=True)
def effort(coefficients: Floats, durations: Floats) -> float:
    """The integral of the squared jerk of pieces (m, 6, 3); m^2 / s^5."""
    total = 0.0
    for i, t in enumerate(durations):
        for x in range(3):
            a, b, c = (
                6.0 * coefficients[i, 3, x],
                24.0 * coefficients[i, 4, x] * t,
                60.0 * coefficients[i, 5, x] * t * t,
            )
            total += t * (a * a + a * b + b * b / 3.0 + 2.0 / 3.0 * a * c + 0.5 * b * c + 0.2 * c * c)
    return total


@njit(cache=True)
def effort_by_states(coefficients: Floats, durations: Floats) -> Floats:
    """(m + 1, 3, 3): half the gradient of the effort by the states that the pieces join.

    It is what the pieces pull at each state with: the fifth derivative at the position, less the snap at the velocity
    and the jerk at the acceleration, each that of the piece before less that of the piece after.
    """
    out = np.zeros((len(durations) + 1, 3, 3))
    for i, t in enumerate(durations):
        for x in range(3):
            jerk, snap, crackle = (
                6.0 * coefficients[i, 3, x],
                24.0 * coefficients[i, 4, x],
                120.0 * coefficients[i, 5, x],
            )
            out[i, 0, x] -= crackle
            out[i, 1, x] += snap
            out[i, 2, x] -= jerk
            out[i + 1, 0, x] += crackle
            out[i + 1, 1, x] -= snap + t * crackle
            out[i + 1, 2, x] += jerk + t * (snap + 0.5 * t * crackle)
    return out


@njit(cache=True)
def effort_by_durations(one: Floats, two: Floats) -> Floats:
    """(m,): the gradient by the durations, at fixed states, of the integral of the product of two curves' jerks.

    one, two: (m, 6, 3). With one = two it is that of the effort: less the Hamiltonian, which is the same all along a
    piece, here at its begin.
    """
    out = np.zeros(len(one))
    for i in range(len(one)):
        for x in range(3):
            out[i] += 48.0 * (one[i, 4, x] * two[i, 2, x] + two[i, 4, x] * one[i, 2, x])
            out[i] -= 120.0 * (one[i, 5, x] * two[i, 1, x] + two[i, 5, x] * one[i, 1, x])
            out[i] -= 36.0 * one[i, 3, x] * two[i, 3, x]
    return out
