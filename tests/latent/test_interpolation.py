"""Paths between codes: their geometry by hand, shortest ones against Floyd and Warshall."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from bench.latent import interpolation
from bench.latent.context import Context
from bench.latent.data import LabelledImages, LatentData
from bench.latent.interpolation import (
    changes_along,
    linear,
    pairs_of,
    perceptual_path_length,
    resampled,
    shortest_paths,
    slerp,
    squared_steps,
)
from bench.latent.space import PcaSpace, PixelSpace, checked
from bench.latent.values import Absent, LatentValue
from tests.conftest import RealSample


@pytest.fixture(scope="module")
def digits(mnist: RealSample) -> LatentData:
    train = LabelledImages(mnist.images[:600], mnist.labels[:600])
    return LatentData("mnist", train, LabelledImages(mnist.images[600:800], mnist.labels[600:800]))


def test_slerp_keeps_angle_and_norm_steps() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.standard_normal((2, 5, 8))
    t = np.linspace(0, 1, 7)
    path = slerp(a, b, t)
    np.testing.assert_allclose(path[:, 0], a)
    np.testing.assert_allclose(path[:, -1], b)
    # of unit vectors: every point has length one, and the angles between neighbours are equal
    a /= np.linalg.norm(a, axis=1, keepdims=True)
    b /= np.linalg.norm(b, axis=1, keepdims=True)
    path = slerp(a, b, t)
    np.testing.assert_allclose(np.linalg.norm(path, axis=2), 1)
    cosines = np.einsum("ptd,ptd->pt", path[:, :-1], path[:, 1:])
    whole = np.arccos((a * b).sum(axis=1))
    np.testing.assert_allclose(np.arccos(cosines), np.repeat(whole[:, None] / 6, 6, axis=1))


@pytest.mark.parametrize(
    ("a", "b"), [([1.0, 0.0], [3.0, 0.0]), ([1.0, 0.0], [-1.0, 0.0]), ([0.0, 0.0], [2.0, 1.0])]
)
def test_slerp_without_an_arc_is_a_line(a: list[float], b: list[float]) -> None:
    t = np.array([0.0, 0.25, 1.0])
    first, second = np.array([a]), np.array([b])
    np.testing.assert_allclose(slerp(first, second, t), linear(first, second, t))


def test_resampling_takes_equal_steps_of_arc_length() -> None:
    path = np.array([[0.0, 0.0], [3.0, 0.0], [3.0, 1.0]])
    found = resampled(path, 5)
    np.testing.assert_allclose(found, [[0, 0], [1, 0], [2, 0], [3, 0], [3, 1]])
    assert resampled(path[:1].repeat(2, axis=0), 3).tolist() == [[0, 0]] * 3


def test_shortest_paths_against_floyd_and_warshall() -> None:
    rng = np.random.default_rng(1)
    codes, k = rng.standard_normal((40, 2)).astype(np.float32), 3
    distances = np.linalg.norm(codes[:, None].astype(float) - codes[None], axis=2)
    np.fill_diagonal(distances, np.inf)
    near = np.argsort(distances, axis=1)[:, :k]
    graph = np.full((40, 40), np.inf)
    for row, others in enumerate(near):
        graph[row, others] = graph[others, row] = distances[row, others]
    np.fill_diagonal(graph, 0)
    for middle in range(40):
        graph = np.minimum(graph, graph[:, [middle]] + graph[[middle]])
    pairs = np.array(list(itertools.combinations(range(40), 2)))
    edges = graph.copy()
    for (start, end), path in zip(pairs, shortest_paths(codes, pairs, k), strict=True):
        if path is None:
            assert np.isinf(edges[start, end])
            continue
        assert (path[0], path[-1]) == (start, end)
        length = sum(distances[a, b] for a, b in itertools.pairwise(path))
        assert length == pytest.approx(edges[start, end], rel=1e-6)


def test_a_graph_in_two_parts_has_no_path_between_them() -> None:
    codes = np.array([[0.0], [1], [2], [100], [101], [102]], np.float32)
    inside, across = shortest_paths(codes, np.array([[0, 2], [0, 5]]), k=2)
    assert inside is not None
    assert across is None


def test_a_graph_of_too_few_images_is_absent() -> None:
    with pytest.raises(Absent, match="3 images are too few"):
        shortest_paths(np.zeros((3, 2), np.float32), np.array([[0, 1]]), k=10)


def test_lengths_and_changes_by_hand() -> None:
    # steps of 3 and 4: (9 + 16) / 2 times 2^2
    assert squared_steps(np.array([[[0.0, 0], [3, 0], [3, 4]]])).tolist() == [50.0]
    assert changes_along(np.array([[1, 2, 2, 1], [0, 0, 0, 0]])).tolist() == [2, 0]


def test_pairs_are_of_the_kind_that_they_are_named_for() -> None:
    labels = np.array([0, 0, 1, 1, 2, 2])
    pairs = pairs_of(labels, 6, 20, np.random.default_rng(0))
    same, other = pairs[interpolation.SAME], pairs[interpolation.OTHER]
    assert len(same) == len(other) == 20
    assert (labels[same[:, 0]] == labels[same[:, 1]]).all()
    assert (labels[other[:, 0]] != labels[other[:, 1]]).all()
    assert (same[:, 0] != same[:, 1]).all()
    assert list(pairs_of(None, 6, 5, np.random.default_rng(0))) == [interpolation.ANY]
    assert list(pairs_of(np.zeros(6, int), 6, 5, np.random.default_rng(0))) == [interpolation.SAME]
    with pytest.raises(Absent, match="no pair"):
        pairs_of(None, 1, 5, np.random.default_rng(0))


class Scaled:
    """Decodes z to one grey level per pixel, linearly and without rounding in `decode_tensor`."""

    name, prior = "scaled", "uniform"

    def decode(self, codes: np.ndarray) -> np.ndarray:
        return (
            np.repeat(np.clip(codes * 255, 0, 255), 784, 1).reshape(-1, 28, 28, 1).astype(np.uint8)
        )

    def decode_tensor(self, codes):  # type: ignore[no-untyped-def]
        return codes[:, :, None, None].expand(-1, 1, 28, 28)

    def sample_latents(self, n: int, seed: int) -> np.ndarray:
        return np.random.default_rng(seed).random((n, 1)).astype(np.float32)


def test_perceptual_path_length_of_a_linear_decoder_and_pixel_features() -> None:
    """Features are the mean grey level in [0, 255]: the squared slope is (255 (z2 - z1))^2."""

    class Mean:
        def forward(self, x):  # type: ignore[no-untyped-def]
            return x.double().mean(dim=(1, 2, 3))[:, None], None

    images = LabelledImages(np.zeros((8, 28, 28, 1), np.uint8))
    data = LatentData("mnist", images, images)
    data.__dict__["network"] = Mean()
    context = Context(checked(Scaled()), data, seed=5)
    found = perceptual_path_length(context, num=40)
    z1, z2 = (Scaled().sample_latents(40, seed)[:, 0].astype(float) for seed in (6, 7))
    for kind in ("full", "ends"):
        # latents and grey levels are rounded by up to 6e-8 of 1: 0.15 of the slope each, twice
        slope = np.sqrt(found[kind])
        np.testing.assert_allclose(slope, np.abs(255 * (z2 - z1)), rtol=1e-3, atol=0.7)
        assert slope.mean() == pytest.approx(np.abs(255 * (z2 - z1)).mean(), rel=2e-3)


def test_a_ratio_of_means_against_the_bootstrap() -> None:
    rng = np.random.default_rng(0)
    below = rng.gamma(4, 1, 300)
    above = 2 * below + rng.standard_normal(300)
    found = interpolation.ratio_interval(above, below)
    assert found.estimate == pytest.approx(above.mean() / below.mean())
    draws = rng.integers(300, size=(4000, 300))
    spread = (above[draws].mean(axis=1) / below[draws].mean(axis=1)).std()
    assert found.standard_error == pytest.approx(spread, rel=0.06)


def measured(context: Context) -> dict[str, LatentValue]:
    return {value.key: value for value in interpolation.measure_interpolation(context)}


def test_pixels_of_two_classes_leave_the_data_and_every_value_is_there(
    digits: LatentData, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(interpolation, "NUM_PAIRS", 12)
    space = checked(PcaSpace(digits.train.images, 30))
    values = {
        value.key: value for value in interpolation.measure_interpolation(Context(space, digits))
    }
    # 2 of sampled latents; for both kinds of pairs 4 paths x 6, the ends and 2 of the graph
    assert len(values) == 2 + 2 * (4 * 6 + 1 + 2)
    distance = values["manifold_distance (pixels, other class)"]
    assert distance.value is not None
    assert distance.value > 1.2
    assert distance.n == 12
    assert "not standard normal" in values["path_length (spherical, same class)"].reason
    assert values["perceptual_path_length (full)"].value is not None
    # relative to the decoded ends, codes of PCA leave the data less than pixels do
    departures = [
        values[f"manifold_departure ({path}, other class)"] for path in ("linear", "pixels")
    ]
    assert departures[0].value is not None
    assert departures[1].value is not None
    assert departures[0].value < departures[1].value
    # the same pairs in pixels: the linear path of pixel codes is the pixel path
    space = checked(PixelSpace(digits.image_shape))
    values = {
        value.key: value for value in interpolation.measure_interpolation(Context(space, digits))
    }
    for name in ("manifold_distance", "path_length", "class_changes"):
        pixels, codes = (values[f"{name} ({path}, other class)"] for path in ("pixels", "linear"))
        assert pixels.value == pytest.approx(codes.value, rel=1e-3)
