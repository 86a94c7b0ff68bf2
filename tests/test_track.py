"""Faces followed through videos of synthetic people, and through real clips where there are any."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest

from fkd.pipeline.framing import upright_frames
from fkd.pipeline.look import Look, Looker, without_noise
from fkd.pipeline.predict import Pipeline
from fkd.pipeline.search import SHARES, FaceSearch
from fkd.pipeline.track import TrackedFace, Tracker, Tracking, TrackOptions
from fkd.schema import IBUG68
from fkd.video import read_frames
from fkd.weights import LoadedModel, live_weights, load_model
from tests.scenes import WIDTH, Actor, actor, background, nearest, points_of, scene

FPS = 30
EMPTY = scene()


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> None:
    cv2.setNumThreads(1)


@pytest.fixture(scope="module")
def model() -> LoadedModel:
    return load_model(live_weights(), threads=1)


@pytest.fixture(scope="module")
def anna() -> Actor:
    return actor(1)


@pytest.fixture(scope="module")
def ben() -> Actor:
    return actor(4)


def follow(tracker: Tracker, frames: list[np.ndarray], start: int = 0) -> list[list[TrackedFace]]:
    return [tracker(frame, (start + i) / FPS).faces for i, frame in enumerate(frames)]


def test_a_moving_face_is_followed_from_the_first_frame_on(model: LoadedModel, anna: Actor) -> None:
    places = [(150 + 5.0 * i, 180 + 20 * np.sin(i / 4)) for i in range(30)]
    seen = follow(Tracker(model), [scene((anna, *place)) for place in places])
    for i, (faces, place) in enumerate(zip(seen, places, strict=True)):
        assert [face.id for face in faces] == [1]
        assert faces[0].age_s == pytest.approx(i / FPS)
        assert faces[0].score > 0.5
        assert nearest(faces, points_of(anna, *place))[1] < 0.06 * anna.eyes_px


def test_followed_points_are_those_of_a_fresh_detection(model: LoadedModel, anna: Actor) -> None:
    frames = [scene((anna, 160 + 4.0 * i, 180)) for i in range(13)]
    seen, fresh = follow(Tracker(model), frames), Pipeline(model)
    for i in (4, 8, 12):
        (face,) = fresh(frames[i])
        assert nearest(seen[i], face.points_px)[1] < 0.05 * anna.eyes_px


def test_a_head_that_tilts_keeps_its_points(model: LoadedModel, anna: Actor) -> None:
    upright = scene((anna, 240, 180))
    tracker = Tracker(model)
    for i, degrees in enumerate(range(0, 64, 3)):
        turn = cv2.getRotationMatrix2D((240, 180), -degrees, 1.0)  # clockwise
        frame = cv2.warpAffine(upright, turn, upright.shape[1::-1], borderMode=cv2.BORDER_REPLICATE)
        faces = tracker(frame, i / FPS).faces
        true = points_of(anna, 240, 180) @ turn[:, :2].T + turn[:, 2]
        assert nearest(faces, true)[1] < 0.07 * anna.eyes_px


@pytest.mark.parametrize("step_s", [1 / FPS, 0.3])
@pytest.mark.parametrize("degrees", [-45, -30, 30, 45])
def test_a_head_that_is_tilted_from_the_start_is_found(
    model: LoadedModel, anna: Actor, degrees: float, step_s: float
) -> None:
    turn = cv2.getRotationMatrix2D((200, 170), -degrees, 1.0)
    upright = scene((anna, 200, 170))
    frame = cv2.warpAffine(upright, turn, upright.shape[1::-1], borderMode=cv2.BORDER_REPLICATE)
    tracker = Tracker(model)
    seen = [tracker(frame, i * step_s).faces for i in range(12)]
    true = points_of(anna, 200, 170) @ turn[:, :2].T + turn[:, 2]
    assert nearest(seen[-1], true)[1] < 0.07 * anna.eyes_px


def test_a_face_in_the_dark_is_followed(model: LoadedModel, anna: Actor) -> None:
    frames = [(0.12 * scene((anna, 200 + 3.0 * i, 180))).astype(np.uint8) for i in range(6)]
    seen = follow(Tracker(model), frames)
    for i in range(6):
        assert nearest(seen[i], points_of(anna, 200 + 3.0 * i, 180))[1] < 0.08 * anna.eyes_px


def test_a_face_that_leaves_is_dropped_and_known_again_when_it_comes_back_soon(model: LoadedModel, anna: Actor) -> None:
    tracker, there = Tracker(model), scene((anna, 240, 180))
    assert follow(tracker, [there] * 5)[-1]
    gone = follow(tracker, [EMPTY] * 20, start=5)
    assert not any(gone[int(0.3 * FPS) :])
    back = follow(tracker, [there] * 5, start=25)
    assert [face.id for face in back[-1]] == [1]


def test_a_face_that_comes_back_late_is_somebody_new(model: LoadedModel, anna: Actor) -> None:
    tracker, there = Tracker(model, TrackOptions(remember_s=0.2)), scene((anna, 240, 180))
    follow(tracker, [there] * 3)
    follow(tracker, [EMPTY] * 8, start=3)
    assert [face.id for face in follow(tracker, [there] * 5, start=11)[-1]] == [2]


def test_a_face_walking_out_of_the_frame_is_not_held_at_its_edge(model: LoadedModel, anna: Actor) -> None:
    places = [400 + 8.0 * i for i in range(32)]
    seen = follow(Tracker(model), [scene((anna, x, 180)) for x in places])
    assert seen[0]
    outside = next(i for i, x in enumerate(places) if points_of(anna, x, 180)[:, 0].min() > 479)
    assert not any(seen[outside + int(0.3 * FPS) :])


def test_a_hand_before_the_face_does_not_change_its_number(model: LoadedModel, anna: Actor) -> None:
    there = scene((anna, 240, 180))
    covered = there.copy()
    covered[130:250, 190:290] = (150, 110, 90)
    seen = follow(Tracker(model), [there] * 4 + [covered] * 6 + [there] * 4)
    assert not any(seen[6:10])
    assert [face.id for face in seen[-1]] == [1]


@pytest.mark.parametrize("speed", [5.0, 9.0])
def test_two_people_crossing_keep_their_numbers(model: LoadedModel, anna: Actor, ben: Actor, speed: float) -> None:
    tracker, numbers = Tracker(model), []
    for i in range(int(270 / speed)):
        xs = 105 + speed * i, 375 - speed * i
        faces = tracker(scene((ben, xs[1], 180), (anna, xs[0], 180)), i / FPS).faces
        for person, x in zip((anna, ben), xs, strict=True):
            if len(faces) == 2 and nearest(faces, points_of(person, x, 180))[1] < 0.1 * person.eyes_px:
                numbers.append((person is anna, nearest(faces, points_of(person, x, 180))[0].id))
        assert len({face.id for face in faces}) == len(faces)
    assert len(numbers) > 20
    assert len(set(numbers)) == 2, "each of the two has one number throughout"
    assert len(faces) == 2


def test_a_newcomer_is_found_while_another_face_is_followed(model: LoadedModel, anna: Actor, ben: Actor) -> None:
    options = TrackOptions(search_every_s=0.3)
    tracker = Tracker(model, options)
    follow(tracker, [scene((anna, 130, 180))] * 4)
    frames = round(options.search_every_s * FPS) + SHARES
    seen = follow(tracker, [scene((anna, 130, 180), (ben, 340, 180))] * frames, start=4)
    assert [face.id for face in seen[-1]] == [1, 2]
    assert nearest(seen[-1], points_of(ben, 340, 180))[0].id == 2


@pytest.mark.parametrize(("min_face", "followed"), [(0.2, 1), (0.1, 2)])
def test_faces_too_small_to_be_looked_for_stay_in_the_background(
    model: LoadedModel, min_face: float, followed: int
) -> None:
    near, far = actor(1, size=190), actor(4, size=95)
    assert np.ptp(near.face.points68_px, axis=0).max() > 0.2 * WIDTH > 1.5 * np.ptp(far.face.points68_px, axis=0).max()
    tracker = Tracker(model, TrackOptions(min_face=min_face, search_every_s=0))
    seen = follow(tracker, [scene((near, 130, 180), (far, 360, 180))] * (SHARES + 2))
    assert len(seen[-1]) == followed
    assert nearest(seen[-1], points_of(near, 130, 180))[1] < 0.06 * near.eyes_px


def test_no_more_faces_are_followed_than_asked_for(model: LoadedModel, anna: Actor, ben: Actor) -> None:
    frame = scene((anna, 130, 180), (ben, 340, 180))
    seen = follow(Tracker(model, TrackOptions(max_faces=1, search_every_s=0)), [frame] * 6)
    assert [len(faces) for faces in seen] == [1] * 6


def test_where_nobody_is_nobody_is_followed(model: LoadedModel) -> None:
    rng = np.random.default_rng(3)
    tracker = Tracker(model)
    for i in range(8):
        blots = np.clip(cv2.resize(rng.normal(120, 60, (24, 32, 3)), (480, 360)), 0, 255).astype(np.uint8)
        seen = tracker(blots, i / FPS)
        assert seen.faces == []
        assert seen.milliseconds["search"] > 0


def test_a_step_back_in_time_begins_another_video(model: LoadedModel, anna: Actor, ben: Actor) -> None:
    tracker = Tracker(model)
    assert [face.id for face in tracker(scene((anna, 240, 180)), 7.0).faces] == [1]
    assert [face.id for face in tracker(scene((ben, 120, 180)), 0.0).faces] == [2]


def test_a_slow_camera_is_followed_too(model: LoadedModel, anna: Actor, ben: Actor) -> None:
    """Frames two seconds apart: longer than lost faces are remembered."""
    tracker = Tracker(model)
    cast = [((anna, 150 + 6.0 * i, 180),) if i < 2 else ((anna, 150 + 6.0 * i, 180), (ben, 350, 180)) for i in range(4)]
    seen = [tracker(scene(*people), 2.0 * i).faces for i, people in enumerate(cast)]
    assert [[face.id for face in faces] for faces in seen] == [[1], [1], [1, 2], [1, 2]]


def test_trackers_keep_apart(model: LoadedModel, anna: Actor) -> None:
    first, second = Tracker(model), Tracker(model)
    assert first(scene((anna, 240, 180)), 0.0).faces
    assert second(EMPTY, 0.0).faces == []
    assert [face.id for face in first(scene((anna, 244, 180)), 0.1).faces] == [1]


def test_a_network_without_scores_is_asked_for_the_mirror_image_too(anna: Actor) -> None:
    class Scoreless:
        card = SimpleNamespace(input_size=96, schema=None, crop=None)
        flips: list[bool] = []  # noqa: RUF012

        def predict(self, crops_gray_u8: np.ndarray, flip: bool = True) -> SimpleNamespace:
            self.flips.append(flip)
            return SimpleNamespace(face_scores=np.ones(len(crops_gray_u8)))

    network = Scoreless()
    tracker = Tracker(network)
    tracker._look.predict(np.zeros((1, 96, 96), np.uint8))
    assert network.flips == [False, True]


def noisy(image: np.ndarray, copies: int) -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    noise = rng.normal(0, 3.0, (copies, *image.shape[:2], 1))
    return [np.clip(np.round(image + each), 0, 255).astype(np.uint8) for each in noise]


class Watched(Looker):
    """Notes where faces are cut out: (5,) box and angle of the first face of each look."""

    def __init__(self, looker: Looker) -> None:
        super().__init__(looker.predict, looker.card, looker.denoise)
        self.cuts: list[np.ndarray] = []

    def __call__(self, image_gray_u8, tight_xyxy, angles_deg, clock) -> Look:
        self.cuts.append(np.append(tight_xyxy[0], angles_deg[0]))
        return super().__call__(image_gray_u8, tight_xyxy, angles_deg, clock)


def frames_of(points_px: np.ndarray) -> np.ndarray:
    """(n, 5) boxes and angles by which (n, k, 2) points would be cut out."""
    boxes, angles = upright_frames(points_px, IBUG68)
    return np.concatenate([boxes, angles[:, None]], axis=1)


def test_trembling_points_do_not_shake_what_is_cut_out(model: LoadedModel, anna: Actor) -> None:
    tracker = Tracker(model, TrackOptions(max_faces=1))
    tracker._look = watched = Watched(tracker._look)
    seen = follow(tracker, noisy(scene((anna, 240, 180)), 15))
    asked = frames_of(np.array([faces[0].points_px for faces in seen]))
    cuts = np.array(watched.cuts[-10:])
    assert np.abs(np.diff(cuts, axis=0)).mean() < 0.4 * np.abs(np.diff(asked[-10:], axis=0)).mean()


def test_what_is_cut_out_stays_near_a_face_that_moves_turns_and_grows(model: LoadedModel, anna: Actor) -> None:
    tracker = Tracker(model)
    tracker._look = watched = Watched(tracker._look)
    upright = scene((anna, 240, 180))
    for i in range(30):
        turn = cv2.getRotationMatrix2D((240, 180), 20 * np.sin(i / 6), 1 + 0.3 * np.sin(i / 5))
        turn[:, 2] += 60 * np.sin(i / 7), 20 * np.sin(i / 4)
        frame = cv2.warpAffine(upright, turn, upright.shape[1::-1], borderMode=cv2.BORDER_REPLICATE)
        first = len(watched.cuts)
        tracker(frame, i / FPS)
        true = points_of(anna, 240, 180) @ turn[:, :2].T + turn[:, 2]
        asked = frames_of(true[None])[0]
        away = np.abs(watched.cuts[first] - asked)
        assert i == 0 or away[:4].max() < 0.18 * np.ptp(true, axis=0).max()
        assert i == 0 or away[4] < 8


def test_without_a_cameras_noise_points_tremble_less(model: LoadedModel, anna: Actor) -> None:
    frames = noisy(scene((anna, 240, 180)), 20)
    trembling = {}
    for denoise in (False, True):
        seen = follow(Tracker(model, TrackOptions(max_faces=1, denoise=denoise)), frames)
        points = np.array([faces[0].points_px for faces in seen])
        trembling[denoise] = np.sqrt(points.var(axis=0).mean())
        assert nearest(seen[-1], points_of(anna, 240, 180))[1] < 0.06 * anna.eyes_px
    assert trembling[True] < 0.85 * trembling[False]


def test_taking_noise_out_keeps_edges() -> None:
    edge = np.full((128, 128), 90, np.uint8)
    edge[:, 64:] = 140
    noise = np.random.default_rng(0).normal(0, 3, edge.shape)
    cleaned = without_noise(np.round(edge + noise).astype(np.uint8)).astype(float)
    assert (cleaned - edge)[:, :58].std() < 0.4 * noise.std()
    np.testing.assert_allclose(cleaned[:, 60:68].mean(axis=0), edge[0, 60:68], atol=3)


def test_the_shares_of_a_search_find_what_one_search_finds(anna: Actor) -> None:
    gray = cv2.cvtColor(scene((anna, 240, 180)), cv2.COLOR_RGB2GRAY)
    search = FaceSearch(0.06)
    everywhere = search.everywhere(gray)
    shares = np.concatenate([search.next_share(gray) for _ in range(SHARES)])
    middle = points_of(anna, 240, 180).mean(axis=0)
    for found in (everywhere, shares, search.near(gray, everywhere[0])):
        away = np.linalg.norm((found[:, :2] + found[:, 2:]) / 2 - middle, axis=1)
        assert away.min() < 0.3 * anna.eyes_px
    assert search.near(gray, np.array([-300.0, -300, -200, -200])).shape == (0, 4)
    assert FaceSearch(0.06).everywhere(background()[:20, :20, 0].astype(np.uint8)).shape == (0, 4)


# Prints --------------------------------------------------------------------------------------------

SLOW_FPS = 10
VERDICT_S = 2.5


@pytest.fixture(scope="module")
def talking_anna() -> list[Actor]:
    return [actor(1, mouth_opening=opening) for opening in (0.0, 0.15, 0.3, 0.15)]


@pytest.fixture(scope="module")
def talking_ben() -> list[Actor]:
    return [actor(4, mouth_opening=opening) for opening in (0.0, 0.15, 0.3, 0.15)]


Cast = list[tuple[Actor, float, float]]


def film(tracker: Tracker, cast_at: Callable[[int], Cast], numbers: range) -> list[Tracking]:
    """What is seen in these frames, each with noise of its own."""
    shots = (scene(*cast_at(number)) for number in numbers)
    return [tracker(noise_over(shot, number), number / SLOW_FPS) for number, shot in zip(numbers, shots, strict=True)]


def noise_over(image: np.ndarray, seed: int) -> np.ndarray:
    noise = np.random.default_rng(seed).normal(0, 2.0, (*image.shape[:2], 1))
    return np.clip(np.round(image + noise), 0, 255).astype(np.uint8)


def number_of(faces: list[TrackedFace], person: Actor, x: float) -> int:
    face, away = nearest(faces, points_of(person, x, 180))
    assert away < 0.1 * person.eyes_px
    return face.id


def test_a_print_beside_a_living_face_is_left_out_until_it_moves_like_one(
    model: LoadedModel, talking_anna: list[Actor], talking_ben: list[Actor]
) -> None:
    verdict, slides, talks = round(VERDICT_S * SLOW_FPS), 32, 44

    def cast_at(number: int) -> Cast:
        ben = talking_ben[number % 4] if number >= talks else talking_ben[0]
        return [(talking_anna[number % 4], 130, 180), (ben, 340 + float(np.clip(number - slides, 0, 12)), 180)]

    seen = film(Tracker(model), cast_at, range(talks + 7))
    anna = number_of(seen[0].faces, talking_anna[0], 130)
    ben = number_of(seen[0].faces, talking_ben[0], 340)
    for each in seen[verdict:talks]:
        assert [face.id for face in each.faces] == [anna]
        assert [face.id for face in each.prints] == [ben]
    assert nearest(seen[talks - 1].prints, points_of(talking_ben[0], 351, 180))[1] < 0.1 * talking_ben[0].eyes_px
    assert {face.id for face in seen[-1].faces} == {anna, ben}
    assert seen[-1].prints == []


def test_who_sits_still_where_nobody_moves_is_followed(model: LoadedModel, anna: Actor, ben: Actor) -> None:
    """As in copies of one picture."""
    for each in film(Tracker(model), lambda _: [(anna, 130, 180), (ben, 340, 180)], range(32)):
        assert [face.id for face in each.faces] == [1, 2]
        assert each.prints == []


def test_prints_are_followed_where_that_is_asked_for(model: LoadedModel, talking_anna: list[Actor], ben: Actor) -> None:
    tracker = Tracker(model, TrackOptions(skip_prints=False))
    for each in film(tracker, lambda i: [(talking_anna[i % 4], 130, 180), (ben, 340, 180)], range(28)):
        assert len(each.faces) == 2
        assert each.prints == []


def test_a_print_takes_nobodys_place_and_comes_back_only_into_a_free_one(
    model: LoadedModel, talking_anna: list[Actor], talking_ben: list[Actor]
) -> None:
    comes, talks = 26, 38
    carl = actor(6)

    def cast_at(number: int) -> Cast:
        ben = talking_ben[number % 4] if number >= talks else talking_ben[0]
        return [(talking_anna[number % 4], 80, 180), (ben, 240, 180), *([(carl, 400, 180)] if number >= comes else [])]

    seen = film(Tracker(model, TrackOptions(max_faces=2)), cast_at, range(talks + 8))
    ben = number_of(seen[0].faces, talking_ben[0], 240)
    for each in (seen[talks - 1], seen[-1]):
        assert len(each.faces) == 2
        assert number_of(each.faces, carl, 400) == 3
        assert [face.id for face in each.prints] == [ben]


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"keep_score": 2.0}, "keep_score: expected 0.0 to 1.0"),
        ({"max_faces": 0}, "max_faces: expected 1 to 20"),
        ({"min_face": float("nan")}, "min_face"),
    ],
)
def test_options_out_of_range_are_refused(wrong: dict, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        TrackOptions(**wrong)


@pytest.mark.data
@pytest.mark.parametrize("clip", ["help", "no", "please", "thanks", "yes"])
def test_the_one_person_of_a_real_clip_is_followed_in_every_frame(
    data_root: Path, model: LoadedModel, clip: str
) -> None:
    """Prints on clothes and the back of a head beside them are not."""
    tracker, fresh = Tracker(model), Pipeline(model)
    for i, (time_s, image) in enumerate(read_frames(data_root / "videos" / f"{clip}.mkv")):
        faces = tracker(image, time_s).faces
        assert [face.id for face in faces] == [1]
        if i in (10, 40):
            (again,) = fresh(image)
            eyes_px = np.linalg.norm(again.points_px[36] - again.points_px[45])
            assert nearest(faces, again.points_px)[1] < 0.05 * eyes_px
