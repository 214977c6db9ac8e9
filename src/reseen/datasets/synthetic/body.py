"""A person's body in a pose: where its joints are, and how they project.

Lengths are in body heights. A person's own frame is x to the left hand, y up, z forward, on the ground below the hips.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from reseen.datasets.synthetic.people import Person
from reseen.datasets.synthetic.shapes import View

Point = tuple[float, float, float]


@dataclass(frozen=True)
class Pose:
    """Pose of a walking person.

    Attributes:
        phase: Of the step, in radians.
        lean: Forward, in body heights at the head.
        roll: To the left hand, likewise.
    """

    phase: float
    lean: float = 0.0
    roll: float = 0.0


class Body:
    """Where a person's joints are, and how they project."""

    def __init__(self, person: Person, pose: Pose, view: View) -> None:
        self.person, self.pose, self.view = person, pose, view
        thigh, shin = 0.235 * person.legs, 0.225 * person.legs
        self.legs: list[tuple[Point, Point, Point, Point]] = []  # hip, knee, ankle, toe, from the hips' height
        for side, phase in ((-1.0, pose.phase), (1.0, pose.phase + math.pi)):
            swing = person.stride * math.sin(phase)
            # The knee bends while its leg swings forward.
            back = swing - person.stride * (0.2 + 1.3 * max(0.0, math.cos(phase)))
            knee = (0.045 * side, -thigh * math.cos(swing), thigh * math.sin(swing))
            ankle = (0.043 * side, knee[1] - shin * math.cos(back), knee[2] + shin * math.sin(back))
            tilt = 0.6 * back if back < 0 else 0.9 * back
            toe = (0.055 * side, ankle[1] - 0.02 + 0.08 * math.sin(tilt), ankle[2] + 0.085 * math.cos(tilt))
            self.legs.append(((0.045 * side, 0.0, 0.0), knee, ankle, toe))
        # Whichever foot is lower stands on the ground.
        self.hip = 0.045 - min(ankle[1] for _, _, ankle, _ in self.legs)
        self.shoulder = self.hip + 0.335
        self.arms: list[tuple[Point, Point, Point]] = []  # shoulder, elbow, hand
        for side, phase in ((-1.0, pose.phase + math.pi), (1.0, pose.phase)):
            swing = 0.9 * person.stride * math.sin(phase) - 0.05
            bend = swing + 0.35 + 0.25 * math.sin(phase)
            x = (0.082 + 0.022 * person.build) * side
            elbow = (x + 0.028 * side, self.shoulder - 0.165 * math.cos(swing), 0.165 * math.sin(swing))
            hand = (x + 0.024 * side, elbow[1] - 0.155 * math.cos(bend), elbow[2] + 0.155 * math.sin(bend))
            self.arms.append(((x, self.shoulder - 0.03, 0.0), elbow, hand))

    def see(self, x: float, y: float, z: float) -> tuple[complex, float]:
        """Return where a point falls on the picture, and how near it is."""
        above = max(0.0, y - self.hip) / 0.45
        return self.view.see(x + self.pose.roll * above, y, z + self.pose.lean * above)

    def at(self, x: float, y: float, z: float) -> complex:
        """Return where a point falls on the picture."""
        return self.see(x, y, z)[0]

    def half_width(self, side: float, deep: float) -> float:
        """Return the half width of what is ``2 side`` broad and ``2 deep`` deep, as turned."""
        return math.hypot(side * self.view.cos, deep * self.view.sin)

    def span(self, start: float, end: float) -> tuple[float, float]:
        """Return middle and half width of what lies between two angles (0 in front, pi / 2 left) on a unit cylinder."""
        if end - start >= 2 * math.pi:
            return 0.0, 1.0
        turn = math.remainder(self.view.yaw + (start + end) / 2, 2 * math.pi)
        reach = (end - start) / 2
        left, right = (math.sin(min(max(turn + r, -math.pi / 2), math.pi / 2)) for r in (-reach, reach))
        return (left + right) / 2, (right - left) / 2
