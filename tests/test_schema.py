import numpy as np
import pytest

from fkd.errors import FkdError
from fkd.schema import IBUG68, KAGGLE15, SCHEMAS, get_schema, kaggle15_from_ibug68


@pytest.mark.parametrize("schema", SCHEMAS.values(), ids=SCHEMAS)
class TestSchema:
    def test_names_are_unique(self, schema):
        assert len(set(schema.keypoints)) == len(schema)

    def test_mirroring_twice_gives_the_points_back(self, schema):
        points = np.random.default_rng(0).uniform(0, 95, (3, len(schema), 2))
        np.testing.assert_allclose(schema.mirror(schema.mirror(points, 96), 96), points)

    def test_partners_differ_only_in_their_side(self, schema):
        for name, partner in zip(schema.keypoints, schema.mirror_partners, strict=True):
            swapped = name.replace("left", "?").replace("right", "left").replace("?", "right")
            assert schema.keypoints[partner] == swapped

    def test_groups_part_the_keypoints(self, schema):
        assert sorted(i for members in schema.groups.values() for i in members) == list(range(len(schema)))

    def test_edges_stay_within_a_group(self, schema):
        assert all(schema.group_of[a] == schema.group_of[b] for a, b in schema.edges)

    def test_normalising_pair_are_partners(self, schema):
        first, second = schema.normalising_pair
        assert schema.mirror_partners[first] == second
        assert "outer_corner" in schema.keypoints[first]


def test_the_fifteen_of_a_mirrored_face_are_the_mirrored_fifteen():
    points = np.random.default_rng(1).uniform(0, 200, (5, 68, 2))
    mirrored_first = kaggle15_from_ibug68(IBUG68.mirror(points, 200))
    np.testing.assert_allclose(mirrored_first, KAGGLE15.mirror(kaggle15_from_ibug68(points), 200))


def test_the_fifteen_need_sixty_eight():
    with pytest.raises(ValueError, match=r"\(\.\.\., 68, 2\).*\(15, 2\)"):
        kaggle15_from_ibug68(np.zeros((15, 2)))


def test_unknown_schema_names_the_known_ones():
    with pytest.raises(FkdError, match="kaggle15, ibug68"):
        get_schema("wflw98")
