"""Deep SVDD's preprocessing, centre, radius and objectives against hand computation."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from baselines.detectors.contrast import contrast_of, normalised
from baselines.detectors.deep_svdd import DeepSVDD
from baselines.detectors.svdd_net import Encoder, Pretraining
from baselines.detectors.svdd_objectives import (
    SoftBoundary,
    centre_of,
    one_class_objective,
    radius_of,
)
from baselines.tricks.base import Net
from bench.errors import UsageError
from tests.baselines.detectors.conftest import made, shortest

Pictures = NDArray[np.uint8]


def test_contrast_by_hand() -> None:
    """[0, 0, 255, 51]: mean 0.3, deviations -.3 -.3 .7 -.1, mean absolute .35."""
    images = torch.tensor([[0, 0, 255, 51], [7, 7, 7, 7]], dtype=torch.uint8).view(2, 1, 2, 2)
    u = normalised(images).flatten(1)
    torch.testing.assert_close(u[0], torch.tensor([-0.3, -0.3, 0.7, -0.1]) / 0.35)
    assert torch.equal(u[1], torch.zeros(4))
    contrast = contrast_of(images)
    # from -.3 / .35 to .7 / .35: 1 unit of x is 1 / .35 of u, the span 1 / .35
    torch.testing.assert_close(contrast(images).flatten(1)[0], torch.tensor([0, 0, 1, 0.2]))
    torch.testing.assert_close(contrast(images).flatten(1)[1], torch.full((4,), 0.3))
    flat = contrast_of(images[1:])
    assert torch.equal(flat(images[1:]), torch.zeros(1, 1, 2, 2))


def test_centre_by_hand() -> None:
    """Means 1, .05, -.05, 0, -.1: entries below .1 in absolute value move to +-.1."""
    codes = torch.tensor([[0.5, 0.1, -0.1, 0.2, -0.1], [1.5, 0.0, 0.0, -0.2, -0.1]])
    torch.testing.assert_close(centre_of(codes), torch.tensor([1.0, 0.1, -0.1, 0.1, -0.1]))


def test_radius_by_hand() -> None:
    """Distances 1..5 (squared 1..25), nu .1: place .9 * 4 = 3.6, so 4.6; two runs at once."""
    squared = torch.tensor([[25.0, 1, 9, 4, 16], [0, 0, 0, 0, 0]])
    torch.testing.assert_close(radius_of(squared, 0.1), torch.tensor([4.6, 0.0]))


def test_objectives_by_hand() -> None:
    """Codes (1, 0), (0, 3) around (0, 1): squared distances 2 and 4, mean 3. With R = 1.5 they
    exceed 2.25 by 0 and 1.75: 2.25 + (1.75 / 2) / .5 = 4.
    """
    net = Net(torch.nn.Identity(), {}, {})
    x = torch.tensor([[1.0, 0.0], [0.0, 3.0]])
    carried = {"centre": torch.tensor([0.0, 1.0]), "radius": torch.tensor(1.5)}
    loss, distances = one_class_objective(net, x, carried)
    assert distances.tolist() == [2, 4]
    assert loss == 3
    soft = SoftBoundary(0.5, warm_up_steps=3)
    loss, distances = soft.objective(net, x, carried)
    assert loss == pytest.approx(4)
    radii = {"radius": torch.zeros(1)}
    soft.on_step(2, distances[None], radii)
    assert radii["radius"] == 0
    soft.on_step(3, distances[None], radii)
    assert radii["radius"] == pytest.approx((2**0.5 + 2) / 2)


def test_the_authors_sizes_at_28_px() -> None:
    """1-8-4 maps and 4 * 7 * 7 = 196 to 32, no bias: 200 + 800 + 6,272 weights; decoder from 2 maps
    of 4x4: 200 + 800 + 200.
    """
    network = Pretraining((1, 28, 28), 32)
    sizes = {name: p.numel() for name, p in network.named_parameters()}
    assert sum(v for name, v in sizes.items() if name.startswith("encoder.")) == 200 + 800 + 6272
    assert sum(sizes.values()) - 7272 == 200 + 800 + 200
    assert not any("bias" in name or "norm" in name for name in sizes)
    assert network.up_2(torch.zeros(1, 4, 16, 16)).shape == (1, 8, 14, 14)
    assert network(torch.zeros(2, 1, 28, 28)).shape == (2, 1, 28, 28)
    with pytest.raises(UsageError, match="multiple of 16"):
        Pretraining((1, 28, 28), 24)
    with pytest.raises(UsageError, match="3x28 px"):
        Encoder((1, 28, 3), 32)


def test_scores_are_the_squared_distances_to_the_centre(ones: Pictures) -> None:
    """Against numpy on the network's own codes; the centre, and of the soft one R, are as they were
    set: R is the quantile of the last batch.
    """
    detector = made("deep-svdd-soft")
    assert isinstance(detector, DeepSVDD)
    detector.fit(ones)
    assert detector.network is not None
    assert detector.contrast is not None
    assert detector.centre is not None
    x = detector.contrast(torch.from_numpy(ones.transpose(0, 3, 1, 2).copy()))
    codes = detector.network(x).double().numpy()
    centre = detector.centre.numpy()
    assert (np.abs(centre) >= 0.1 - 1e-7).all()
    expected = np.square(codes - centre).sum(1)
    np.testing.assert_allclose(detector.scores(ones), expected, rtol=1e-4)
    assert detector.radius is not None
    assert 0.3 < detector.radius / np.quantile(np.sqrt(expected), 0.9) < 3


def test_training_pulls_the_images_to_the_centre(ones: Pictures) -> None:
    """Against the network before: the mean distance over the centre's norm falls below a half."""
    spread = []
    for epochs in (0.006, 1.0):
        detector = made("deep-svdd", epochs=epochs)
        assert isinstance(detector, DeepSVDD)
        detector.fit(ones)
        assert detector.centre is not None
        assert detector.radius is None
        spread.append(detector.scores(ones).mean() / float(detector.centre.square().sum()))
    assert spread[1] < spread[0] / 2


def test_without_pretraining(ones: Pictures) -> None:
    """Any number of code entries then."""
    detector = shortest("deep-svdd", pretrain_epochs=0, rep_dim=10)
    detector.fit(ones)
    assert np.isfinite(detector.scores(ones[:3])).all()
    with pytest.raises(UsageError, match="rep_dim 10"):
        shortest("deep-svdd", rep_dim=10).fit(ones)
