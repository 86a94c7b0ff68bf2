import math

import numpy as np
import pytest
import torch

from fkd.errors import FkdError
from fkd.losses import heatmap_loss, point_loss
from fkd.models import MODELS, check_model, create_model, norm_to_px, px_to_norm
from fkd.models.heatmap import cell_centres_norm, expectation, spread


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("keypoints", [15, 68])
def test_every_network_gives_points_for_every_crop(name, keypoints):
    network = create_model(name, keypoints, 96).eval()
    output = network(torch.rand(2, 1, 96, 96))
    assert output.points_norm.shape == (2, keypoints, 2)
    assert output.points_norm.dtype == torch.float32 and output.points_norm.isfinite().all()
    for logits in (output.point_logits, output.face_logits):
        assert logits is None or len(logits) == 2


SMALL = {
    "heatmap": {"widths": (8, 16, 16, 16, 16), "fused": 16},
    "resnet": {"widths": (8, 8, 8, 16, 16), "blocks": 1, "dropout": 0},
    "cnn5": {"widths": (4, 8, 8, 16, 16), "dropout": 0},
    "cnn": {"widths": (4, 8, 8), "dense": 32, "dropout": 0},
    "mlp": {"widths": (32,), "dropout": 0},
    "mean_shape": {},
}


@pytest.mark.parametrize("name", MODELS)
def test_every_network_learns_one_batch_by_heart(name):
    torch.manual_seed(0)
    network = create_model(name, 15, 64, **SMALL[name])
    images, points = torch.rand(4, 1, 64, 64), torch.rand(4, 15, 2) * 1.2 - 0.6
    if name == "mean_shape":  # it has but one shape to learn
        points = points[:1].expand_as(points)
    optimizer = torch.optim.Adam(network.parameters(), 3e-3)
    losses = []
    for _ in range(150):
        loss = point_loss("l1", network(images).points_norm, points)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert min(losses[-10:]) < 0.25 * losses[0]


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("size", [64, 96, 100])
def test_every_network_takes_crops_of_its_size_in_any_number(name, size):
    if name == "heatmap" and size % 32:
        with pytest.raises(FkdError, match=f"'heatmap' cannot take crops of {size} pixels with"):
            check_model(name, 15, size, **SMALL[name])
        return
    check_model(name, 15, size, **SMALL[name])
    network = create_model(name, 15, size, **SMALL[name]).eval()
    images = torch.rand(3, 1, size, size)
    alone = torch.cat([network(image[None]).points_norm for image in images])
    torch.testing.assert_close(network(images).points_norm, alone, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("name", ["heatmap", "resnet"])
def test_brightness_and_contrast_do_not_matter(name):
    network = create_model(name, 15, 96).eval()
    images = torch.rand(1, 1, 96, 96)
    first, second = (network(i).points_norm for i in (images, images * 0.6 + 0.2))
    torch.testing.assert_close(first, second, atol=0.02, rtol=0)


def test_pixels_and_norm_are_inverse():
    points = torch.rand(7, 2) * 95
    torch.testing.assert_close(norm_to_px(px_to_norm(points, 96), 96), points)
    assert px_to_norm(torch.tensor([0.0, 95.0]), 96).tolist() == [-1, 1]


def test_a_heatmap_with_its_peak_at_a_point_decodes_to_it():
    points = torch.rand(3, 5, 2) * 1.4 - 0.7
    cells = cell_centres_norm(32, 128)
    squared = (cells - points[..., :1, None]) ** 2 + (cells[:, None] - points[..., 1:, None]) ** 2
    decoded, probabilities = expectation(-squared / (2 * 0.08**2), 128)
    torch.testing.assert_close(decoded, points, atol=0.005, rtol=0)
    torch.testing.assert_close(probabilities.sum(dim=(2, 3)), torch.ones(3, 5))


def test_cells_lie_evenly_between_the_pixels():
    # 4 cells over 8 pixels: centres at 0.5, 2.5, 4.5, 6.5 of pixels 0 to 7.
    torch.testing.assert_close(norm_to_px(cell_centres_norm(4, 8), 8), torch.tensor([0.5, 2.5, 4.5, 6.5]))


class TestLosses:
    truth = torch.tensor([[[0.0, 0.0], [0.5, -0.5]]])

    @pytest.mark.parametrize("name", ["mse", "l1", "wing", "log"])
    def test_a_missing_point_counts_nothing(self, name):
        predicted = torch.tensor([[[0.1, 0.2], [0.9, 0.9]]], requires_grad=True)
        gap = self.truth.clone()
        gap[0, 1] = torch.nan
        loss = point_loss(name, predicted, gap)
        loss.backward()
        torch.testing.assert_close(loss, point_loss(name, predicted[:, :1], self.truth[:, :1]))
        assert predicted.grad[0, 1].tolist() == [0, 0] and predicted.grad.isfinite().all()

    @pytest.mark.parametrize("name", ["mse", "l1", "wing", "log"])
    def test_no_labels_at_all_is_zero(self, name):
        assert point_loss(name, self.truth, torch.full_like(self.truth, torch.nan)) == 0

    def test_values_by_hand(self):
        predicted = self.truth + torch.tensor([0.1, -0.3])
        assert point_loss("mse", predicted, self.truth).item() == pytest.approx((0.01 + 0.09) / 2)
        assert point_loss("l1", predicted, self.truth).item() == pytest.approx(0.2)
        assert point_loss("log", predicted, self.truth).item() == pytest.approx((2.397895 + 3.433987) / 2)

    def test_wing_is_continuous_where_its_parts_meet(self):
        zero = torch.zeros(1, 1, 2)
        below, above = (point_loss("wing", zero + e, zero).item() for e in (0.08 - 1e-6, 0.08 + 1e-6))
        assert below == pytest.approx(above, abs=1e-4)

    def test_heatmaps_are_best_round_the_true_point(self):
        cells = cell_centres_norm(16, 64)
        truth = torch.tensor([[[0.2, -0.3]]])

        def loss_of(x, y):
            logits = -((cells - x) ** 2 + (cells[:, None] - y) ** 2) / (2 * 0.125**2)
            return heatmap_loss(logits[None, None], truth, 64, sigma_cells=1.0).item()

        assert loss_of(0.2, -0.3) < min(loss_of(0.3, -0.3), loss_of(0.2, -0.4), loss_of(0.1, -0.3))

    def test_heatmaps_of_points_outside_count_nothing(self):
        logits = torch.rand(1, 2, 16, 16)
        truth = torch.tensor([[[1.2, 0.0], [torch.nan, 0.0]]])
        assert heatmap_loss(logits, truth, 64, 1.0) == 0

    def test_unknown_loss_names_the_known_ones(self):
        with pytest.raises(FkdError, match="wing"):
            point_loss("huber", self.truth, self.truth)


def test_unknown_network_names_the_known_ones():
    with pytest.raises(FkdError, match="heatmap"):
        create_model("vit", 68, 128)


def test_an_argument_no_network_takes():
    with pytest.raises(FkdError, match="depth"):
        create_model("cnn5", 68, 128, depth=3)


def test_the_spread_of_a_heatmap_is_its_entropy_and_its_variances():
    logits = 4 * torch.randn(2, 3, 8, 16)
    probabilities = logits.flatten(2).softmax(dim=-1).view_as(logits)
    found = spread(logits, probabilities)
    entropy = torch.distributions.Categorical(probabilities.flatten(2)).entropy()
    torch.testing.assert_close(found[..., 0], entropy)
    cells = torch.linspace(-1, 1, 16)
    for row, point in ((0, 0), (1, 2)):
        shares = probabilities[row, point].sum(dim=0).numpy().astype(float)
        mean = np.average(cells, weights=shares)
        variance = np.average((cells - mean) ** 2, weights=shares)
        assert found[row, point, 1] == pytest.approx(math.log(variance + 1e-4), abs=1e-3)
    across = spread(logits.transpose(2, 3), probabilities.transpose(2, 3))
    torch.testing.assert_close(across[..., [0, 2, 1]], found)


def test_a_point_hears_of_the_others_when_it_is_scored():
    torch.manual_seed(0)
    network = create_model("heatmap", 15, 64, **SMALL["heatmap"]).eval()
    features, logits = torch.randn(1, 16, 16, 16), torch.randn(1, 15, 16, 16)
    sharper = logits.clone()
    sharper[:, 1:] *= 8
    before, after = (
        network.score_head(features, each, each.flatten(2).softmax(dim=-1).view_as(each)) for each in (logits, sharper)
    )
    assert before.shape == (1, 15)
    assert (before[0, 0] - after[0, 0]).abs() > 1e-3
