"""Faces followed from frame to frame: found once, then looked at where they were, each under its own number.

    tracker = Tracker(load_model("ibug68"))
    for time_s, image_rgb_u8 in read_frames(path):
        seen = tracker(image_rgb_u8, time_s)
        seen.faces[0].points_px, seen.faces[0].id

A face is cut out by the points of the frame before, moved on by its speed, and the network looks once.
What is cut out follows the points only as far as they leave a narrow band, so that their trembling is not
fed back to them. The network's own score says whether the face is still there; below that, the place is
searched anew in the same frame. New faces are looked for with a share of the Haar search in some frames, so
that no frame is late; the first frame is searched from large faces to small ones until somebody is found.

Two faces whose points fall together were one person passing before another: the one that moved as
expected keeps them, the other is awaited where its speed leads. What is lost keeps its number for a
while, and gets it back when a face turns up that may have come from there and looks the same.

A face that keeps rigid while another one lives is taken for a print (`liveness` says how each is told). It is
looked at as before and not shown, so that no search finds it anew, and shown again, under its number, once it
moves as no print does. Where nobody is seen to live, everybody is shown: the picture itself may be a still.

All times are those of the frames, so a clip gives the same result at any speed of the machine.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import TYPE_CHECKING

import numpy as np

from fkd.crop import cut, tight_boxes_from_points
from fkd.images import lighted, to_gray
from fkd.options import check, option
from fkd.pipeline.face import Face
from fkd.pipeline.framing import upright_frames
from fkd.pipeline.liveness import Liveness
from fkd.pipeline.look import Clock, Look, Looker, contradicted, gives_scores
from fkd.pipeline.search import SHARES, FaceSearch

if TYPE_CHECKING:
    from fkd.weights import LoadedModel

# Points of two looks that lie closer than this, on average and in sides of the face, are one face.
_SAME_FACE = 0.25
_SPEED_MEMORY_S = 0.1
# By how much a frame may differ from what the points ask for, in sides of the face and degrees.
_BAND, _BAND_DEG = 0.02, 2.0
# For so long a lost face is looked for where its speed leads; afterwards only a search finds it.
_AWAITED_S = 0.5
# Frames further apart than this leave time to search the whole frame at once.
_SLOW_S = 0.2
# A look that lands further off a track's course, in sides, has to show the same person.
_OWN_COURSE = 0.4
# How far a lost face may have gone from where it was last expected, in sides, at once and per second.
_REACH, _REACH_PER_S = 0.7, 3.0
_LIKE_SIZE = 1.7
_PORTRAIT_PX, _PORTRAIT_PART = 16, 0.65  # its side, and how much of a crop it shows: hardly any background
_PORTRAIT_EVERY_S, _PORTRAIT_MEMORY_S = 0.1, 0.3  # how often it is taken anew, and for how long one is remembered
_LIKENESS = 0.5  # of portraits, from which on a look far off its course may show the same person
# A second look makes sure; a third one puts the points of a face's first frame where the next ones will see them.
_CONFIRMING_LOOKS = 2


@dataclass(frozen=True)
class TrackOptions:
    """How faces are followed; out-of-range values raise `ValueError`."""

    find_score: float = option(0.55, "How sure the network has to be of a new face.", low=0.0, high=1.0)
    keep_score: float = option(0.35, "A followed face that scores lower is lost.", low=0.0, high=1.0)
    doubt_s: float = option(
        0.25, "Seconds for which a followed face may score too low to be a new one.", low=0.0, high=5.0
    )
    search_every_s: float = option(0.6, "Seconds from one search for new faces to the next.", low=0.0, high=10.0)
    min_face: float = option(
        0.07,
        "Smallest face to look for, as a share of the frame's longer side; smaller takes longer.",
        low=0.02,
        high=1.0,
    )
    remember_s: float = option(
        1.5, "Seconds for which a lost face keeps its number, should it come back.", low=0.0, high=30.0
    )
    denoise: bool = option(True, "Take a camera's noise out of each face before a look, for points that tremble less.")
    max_faces: int = option(4, "Most faces followed at once; each takes a look of its own.", low=1, high=20)
    skip_prints: bool = option(
        True, "Leave out posters and photographs that hang still while a living face is in the picture."
    )

    def __post_init__(self) -> None:
        check(self)


@dataclass(frozen=True)
class TrackedFace(Face):
    """A face of a video.

    Attributes:
        id: the same in every frame that shows this face, counted from 1.
        age_s: seconds since it was first seen.
    """

    id: int
    age_s: float


@dataclass(frozen=True)
class Tracking:
    """What was seen in one frame.

    Attributes:
        faces: by increasing `id`.
        prints: those that are taken for prints and left out, likewise.
        milliseconds: time spent in the steps `gray`, `search`, `crop`, `predict` and `match`.
    """

    faces: list[TrackedFace]
    prints: list[TrackedFace]
    milliseconds: dict[str, float]


@dataclass(frozen=True)
class _Framed:
    """How a face was cut out last: a (4,) box in its own upright frame, its tilt, and when."""

    box_xyxy: np.ndarray
    angle_deg: float
    time_s: float


@dataclass
class _Track:
    """A face that is followed, or was until a moment ago."""

    id: int
    born_s: float
    seen_s: float
    sure_s: float
    points_px: np.ndarray
    point_scores: np.ndarray
    score: float
    portrait: np.ndarray
    portrait_s: float
    liveness: Liveness
    is_print: bool = False
    velocity_px_s: np.ndarray = field(default_factory=lambda: np.zeros(2))
    framed: _Framed | None = None

    def expected_px(self, time_s: float) -> np.ndarray:
        """(k, 2) where the points should be by now."""
        return self.points_px + self.velocity_px_s * (time_s - self.seen_s)

    def frame(self, box_xyxy: np.ndarray, angle_deg: float, time_s: float) -> _Framed:
        """The last frame, moved on with the face, as far as the one that is asked for allows it."""
        last = self.framed or _Framed(box_xyxy, angle_deg, time_s)
        moved_px = np.tile(self.velocity_px_s * (time_s - last.time_s), 2)
        band_px = _BAND * float((box_xyxy[2:] - box_xyxy[:2]).max())
        turned_deg = (last.angle_deg - angle_deg + 180) % 360 - 180
        self.framed = _Framed(
            box_xyxy + np.clip(last.box_xyxy + moved_px - box_xyxy, -band_px, band_px),
            angle_deg + float(np.clip(turned_deg, -_BAND_DEG, _BAND_DEG)),
            time_s,
        )
        return self.framed

    @property
    def side_px(self) -> float:
        return _side_px(self.points_px)


class Tracker:
    """Follows the faces of one video or camera; one for each session, used by one thread at a time.

    Args:
        model: the network; it may be shared, and looks once at each face. One that gives no scores looks at
            the mirror image too, as only the difference tells whether there still is a face.
        options: see there.

    Raises:
        FkdError: when this OpenCV has no cascades to find faces with.
    """

    def __init__(self, model: LoadedModel, options: TrackOptions | None = None) -> None:
        self.options = options or TrackOptions()
        self._schema = model.card.schema
        self._look = Looker(partial(model.predict, flip=not gives_scores(model)), model.card, self.options.denoise)
        self._search = FaceSearch(self.options.min_face)
        self._next_id = 1
        self.reset()

    def reset(self) -> None:
        """Forget every face and begin another video; numbers go on."""
        self._tracks: list[_Track] = []
        self._time_s = -np.inf
        self._searched_s = -np.inf
        self._shares_left = 0

    def __call__(self, image_rgb_u8: np.ndarray, time_s: float) -> Tracking:
        """The faces of the next frame.

        Args:
            image_rgb_u8: (h, w, 3) uint8 RGB.
            time_s: when it was taken, in seconds from any origin. A time before the last one begins
                another video.
        """
        if time_s < self._time_s:
            self.reset()
        last_s, self._time_s = self._time_s, time_s
        clock = Clock()
        with clock("gray"):
            image_gray_u8 = lighted(to_gray(image_rgb_u8))
        frame = _Frame(image_rgb_u8, image_gray_u8, time_s, clock)
        self._tracks = [
            track
            for track in self._tracks
            if track.seen_s == last_s or time_s - track.seen_s <= self.options.remember_s
        ]
        self._follow(frame, last_s)
        self._find(frame, time_s - last_s)
        if self.options.skip_prints:
            with clock("match"):
                self._tell_prints(time_s)
        seen = sorted(self._visible(time_s), key=lambda track: track.id)
        faces = [self._face(track, time_s) for track in seen if not track.is_print]
        prints = [self._face(track, time_s) for track in seen if track.is_print]
        return Tracking(faces, prints, clock.milliseconds)

    def _face(self, track: _Track, time_s: float) -> TrackedFace:
        box = tight_boxes_from_points(track.points_px[None], self._schema)[0].astype(np.float32)
        return TrackedFace(box, track.score, track.points_px, track.point_scores, track.id, time_s - track.born_s)

    # Following -------------------------------------------------------------------------------------

    def _follow(self, frame: _Frame, last_s: float) -> None:
        """Look at every track where it should be, and once more at those that were not quite there."""
        tracks = [
            track for track in self._tracks if track.seen_s == last_s or frame.time_s - track.seen_s <= _AWAITED_S
        ]
        if not tracks:
            return
        expected = np.stack([track.expected_px(frame.time_s) for track in tracks])
        framed = [
            track.frame(box, float(angle), frame.time_s)
            for track, box, angle in zip(tracks, *upright_frames(expected, self._schema), strict=True)
        ]
        boxes, angles = np.stack([each.box_xyxy for each in framed]), np.array([each.angle_deg for each in framed])
        look = self._look(frame.image_gray_u8, boxes, angles, frame.clock)
        look = self._look_again(frame, look, boxes, angles)
        with frame.clock("match"):
            found = [_Found(look, index, frame) for index in range(len(tracks))]
            for track, face in self._owners(tracks, expected, found, frame.time_s):
                self._update(track, face, frame.time_s)

    def _look_again(self, frame: _Frame, look: Look, boxes: np.ndarray, angles_deg: np.ndarray) -> Look:
        """The looks, with second ones in their place where a first one was not enough.

        A face that moved further than expected is looked at by its own points; one that is gone, where the
        cascade sees something nearby.
        """
        again_boxes, again_angles = self._look.frames(look)
        gone = look.scores < self.options.keep_score
        again = contradicted(boxes, angles_deg, again_boxes, again_angles) & ~gone
        with frame.clock("search"):
            for index in np.flatnonzero(gone):
                near = self._search.near(frame.image_gray_u8, boxes[index])
                if len(near):
                    again_boxes[index], again_angles[index], again[index] = near[0], 0.0, True
        if not again.any():
            return look
        second = self._look(frame.image_gray_u8, again_boxes[again], again_angles[again], frame.clock)
        return look.replaced(again, second)

    def _owners(
        self, tracks: list[_Track], expected_px: np.ndarray, found: list[_Found], time_s: float
    ) -> list[tuple[_Track, _Found]]:
        """The tracks that still see their face, each face with one track only: the one it surprises least."""
        candidates = []
        for track, points_px, face in zip(tracks, expected_px, found, strict=True):
            doubted = time_s - track.sure_s > self.options.doubt_s
            away = _away(face.points_px, points_px)
            if face.score < (self.options.find_score if doubted else self.options.keep_score):
                continue
            # Portraits cost time, and are looked at only where place alone does not decide.
            likeness = _likeness(track.portrait, face.portrait) if len(tracks) > 1 or away >= _OWN_COURSE else 1.0
            if away < _OWN_COURSE or likeness > _LIKENESS:
                candidates.append((away + (1 - likeness) + (time_s - track.seen_s), track, face))
        owners: list[tuple[_Track, _Found]] = []
        for _, track, face in sorted(candidates, key=lambda candidate: candidate[0]):
            if not any(_same_face(face.points_px, other.points_px) for _, other in owners):
                owners.append((track, face))
        return owners

    def _update(self, track: _Track, face: _Found, time_s: float) -> None:
        elapsed_s = time_s - track.seen_s
        if elapsed_s > 0:
            speed = (face.points_px.mean(axis=0) - track.points_px.mean(axis=0)) / elapsed_s
            share = 1 - np.exp(-elapsed_s / _SPEED_MEMORY_S)
            track.velocity_px_s = track.velocity_px_s + share * (speed - track.velocity_px_s)
        if (since_s := time_s - track.portrait_s) >= _PORTRAIT_EVERY_S:
            share = 1 - np.exp(-since_s / _PORTRAIT_MEMORY_S)
            track.portrait = track.portrait + share * (face.portrait - track.portrait)
            track.portrait_s = time_s
        track.points_px, track.point_scores, track.score = face.points_px, face.point_scores, face.score
        track.seen_s = time_s
        if face.score >= self.options.find_score:
            track.sure_s = time_s

    def _tell_prints(self, time_s: float) -> None:
        """Leave out who keeps rigid beside somebody who lives, and show again who turns out to live."""
        seen = self._visible(time_s)
        for track in seen:
            track.liveness(time_s, track.points_px)
        is_live = any(track.liveness.lives for track in seen)
        for track in seen:
            if track.is_print:
                shown = sum(not other.is_print for other in seen)
                track.is_print = not track.liveness.lives or shown >= self.options.max_faces
            else:
                track.is_print = is_live and track.liveness.is_rigid

    # Finding ---------------------------------------------------------------------------------------

    def _find(self, frame: _Frame, elapsed_s: float) -> None:
        """Look for faces that no track holds; in the first frame, whose `elapsed_s` is infinite, until there is one.

        Where nobody is seen, the network has nothing to do, and there is time to look for tilted faces as well.
        """
        is_first = np.isinf(elapsed_s)
        if _SLOW_S < elapsed_s < np.inf:
            self._searched_s, self._shares_left = frame.time_s, 0
            searches = [self._search.everywhere]
        elif is_first or self._is_share_due(frame.time_s):
            searches = [self._search.next_share] * (SHARES if is_first else 1)
        else:
            return
        for search in searches:
            self._take_up(frame, search)
            if self._visible(frame.time_s):
                return
        self._take_up(frame, self._search.next_tilted_share, self._search.tilt_deg)

    def _is_share_due(self, time_s: float) -> bool:
        """Whether to search in this frame: in some every so often, and in each while nobody or somebody is missing."""
        if time_s - self._searched_s >= self.options.search_every_s:
            self._searched_s, self._shares_left = time_s, SHARES
        self._shares_left -= 1
        return self._shares_left >= 0 or len(self._visible(time_s)) < max(1, len(self._tracks))

    def _take_up(self, frame: _Frame, search: Callable[[np.ndarray], np.ndarray], angle_deg: float = 0.0) -> None:
        """Follow whatever faces a search finds from now on; those that were lost, under their old numbers."""
        candidates = self._candidates(frame, search)
        if not len(candidates):
            return
        look = self._confirmed(frame, candidates, angle_deg)
        with frame.clock("match"):
            for index in np.argsort(-look.scores):
                visible = self._visible(frame.time_s)
                held = any(_same_face(look.points_px[index], track.points_px) for track in visible)
                if self._room(visible) and not held:
                    self._welcome(_Found(look, index, frame), frame.time_s)

    def _candidates(self, frame: _Frame, search: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
        """(n, 4) tight boxes where there may be a face that no track holds."""
        visible = self._visible(frame.time_s)
        room = self._room(visible)
        if not room:
            return np.empty((0, 4))
        with frame.clock("search"):
            found = search(frame.image_gray_u8)
        held = [tight_boxes_from_points(track.points_px[None], self._schema)[0] for track in visible]
        free = [box for box in found if not any(_covers(taken, box) for taken in held)]
        return np.array(free[:room]).reshape(-1, 4)

    def _confirmed(self, frame: _Frame, tight_xyxy: np.ndarray, angle_deg: float) -> Look:
        """Looks at those of (n, 4) candidates, all tilted alike, that are faces from every framing."""
        look = self._look(frame.image_gray_u8, tight_xyxy, np.full(len(tight_xyxy), angle_deg), frame.clock)
        for _ in range(_CONFIRMING_LOOKS):
            look = look.subset(look.scores >= self.options.find_score)
            again = self._look(frame.image_gray_u8, *self._look.frames(look), frame.clock)
            look = look.updated(np.ones(len(look), bool), again)
        return look.subset(look.scores >= self.options.find_score)

    def _welcome(self, face: _Found, time_s: float) -> None:
        """Take up the lost track that this face most likely is, or begin a new one."""
        lost = [(_unlike(track, face, time_s), track) for track in self._tracks if track.seen_s < time_s]
        least, best = min(lost, key=lambda fit: fit[0], default=(float("inf"), None))
        if best and np.isfinite(least):
            self._update(best, face, time_s)
            return
        self._tracks.append(
            _Track(
                self._next_id,
                time_s,
                time_s,
                time_s,
                face.points_px,
                face.point_scores,
                face.score,
                face.portrait,
                time_s,
                Liveness(self._schema),
            )
        )
        self._next_id += 1

    def _visible(self, time_s: float) -> list[_Track]:
        return [track for track in self._tracks if track.seen_s == time_s]

    def _room(self, visible: list[_Track]) -> int:
        """How many faces more may be followed; as many prints as faces are looked at beside them."""
        most = self.options.max_faces
        prints = sum(track.is_print for track in visible)
        return max(0, most - (len(visible) - min(prints, most)))


@dataclass(frozen=True)
class _Frame:
    image_rgb_u8: np.ndarray
    image_gray_u8: np.ndarray
    time_s: float
    clock: Clock


@dataclass(frozen=True)
class _Found:
    """One face that a look saw."""

    look: Look
    index: int
    frame: _Frame

    @property
    def points_px(self) -> np.ndarray:
        return self.look.points_px[self.index]

    @property
    def point_scores(self) -> np.ndarray:
        return self.look.point_scores[self.index]

    @cached_property
    def score(self) -> float:
        return float(self.look.scores[self.index])

    @cached_property
    def portrait(self) -> np.ndarray:
        crop_size = self.look.crops_gray_u8.shape[1]
        return _portrait(self.frame.image_rgb_u8, self.look.crops_to_photo[self.index], crop_size)


def _portrait(image_rgb_u8: np.ndarray, crop_to_photo: np.ndarray, crop_size: int) -> np.ndarray:
    """(p, p, 3) float32: the middle of an upright crop, small, without brightness and contrast."""
    step = _PORTRAIT_PART * crop_size / _PORTRAIT_PX
    matrix = np.asarray(crop_to_photo, np.float64).copy()
    # Both middles fall together, the portrait's and the crop's.
    matrix[:, 2] += matrix[:, :2].sum(axis=1) * (crop_size - 1 - step * (_PORTRAIT_PX - 1)) / 2
    matrix[:, :2] *= step
    small = cut(image_rgb_u8, matrix, _PORTRAIT_PX).astype(np.float32)
    small -= small.mean()
    return small / max(float(np.linalg.norm(small)), 1e-6)


def _unlike(track: _Track, face: _Found, time_s: float) -> float:
    """How little a found face fits a lost one, infinite when it cannot be it.

    It has to have the size and come from where the other was or should be by now. Portraits decide only
    between several: who comes out from behind somebody else does not look like themselves at first.
    """
    side, found_side = track.side_px, _side_px(face.points_px)
    away = min(_away(face.points_px, place) for place in (track.points_px, track.expected_px(time_s)))
    in_reach = away < _REACH + _REACH_PER_S * (time_s - track.seen_s)
    if not in_reach or max(side, found_side) > _LIKE_SIZE * min(side, found_side):
        return float("inf")
    return away + 1 - _likeness(track.portrait, face.portrait)


def _away(points_px: np.ndarray, expected_px: np.ndarray) -> float:
    """Distance of two faces' middles, in sides of the expected one."""
    return float(np.linalg.norm(points_px.mean(axis=0) - expected_px.mean(axis=0))) / _side_px(expected_px)


def _likeness(portrait: np.ndarray, other: np.ndarray) -> float:
    """Correlation of two portraits."""
    return float((portrait * other).sum() / max(float(np.linalg.norm(portrait) * np.linalg.norm(other)), 1e-6))


def _same_face(points_px: np.ndarray, others_px: np.ndarray) -> bool:
    apart = float(np.linalg.norm(points_px - others_px, axis=1).mean())
    return apart < _SAME_FACE * min(_side_px(points_px), _side_px(others_px))


def _side_px(points_px: np.ndarray) -> float:
    return max(float(np.ptp(points_px, axis=0).max()), 1e-6)


def _covers(taken_xyxy: np.ndarray, box_xyxy: np.ndarray) -> bool:
    """Whether the middle of a box lies in a taken one."""
    middle = (box_xyxy[:2] + box_xyxy[2:]) / 2
    return bool((middle > taken_xyxy[:2]).all() and (middle < taken_xyxy[2:]).all())
