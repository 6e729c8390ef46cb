"""Pictures of codes: what is drawn where."""

from __future__ import annotations

import numpy as np
import pytest

from bench.plots.latent_maps import (
    SEPARATION_PX,
    plot_latent_map,
    plot_neighbour_rows,
    plot_reconstructions,
    plot_variation_map,
)
from bench.plots.saving import figure_png, new_figure


def test_a_map_has_every_class_once_with_its_name_at_its_median() -> None:
    placed = np.array([[0.0, 0], [2, 0], [4, 0], [10, 10], [12, 10]])
    ax = new_figure(4, 3).subplots()
    plot_latent_map(placed, np.array([1, 1, 1, 0, 0]), ax=ax, class_names=("zero", "one"))
    assert [text.get_text() for text in ax.texts] == ["zero", "one"]
    assert ax.texts[1].xy == (2.0, 0.0)
    assert [len(dots.get_offsets()) for dots in ax.collections] == [2, 3]
    assert figure_png(ax.figure)


def test_twenty_classes_can_be_told_apart() -> None:
    ax = new_figure(4, 3).subplots()
    plot_latent_map(np.random.default_rng(0).normal(size=(40, 2)), np.arange(40) % 20, ax=ax)
    looks = {
        (tuple(dots.get_facecolor()[0]), dots.get_paths()[0].vertices.tobytes())
        for dots in ax.collections
    }
    assert len(looks) == 20


def test_a_map_without_labels_has_one_kind_of_points() -> None:
    placed = np.random.default_rng(0).normal(size=(30, 2))
    for labels in (None, np.arange(30)):
        ax = plot_latent_map(placed, labels, ax=new_figure(4, 3).subplots())
        assert len(ax.collections) == 1
        assert not ax.texts


def test_a_variation_has_a_colour_bar_with_its_unit() -> None:
    placed = np.random.default_rng(0).normal(size=(30, 2))
    ax = plot_variation_map(
        placed, placed[:, 0], ax=new_figure(4, 3).subplots(), title="rotation", unit="degrees"
    )
    assert ax.figure.axes[1].get_ylabel() == "degrees"


def test_neighbours_stand_right_of_their_query_and_wrong_ones_have_a_frame() -> None:
    queries = np.full((2, 5, 5, 1), 10, np.uint8)
    neighbours = np.arange(6, dtype=np.uint8).reshape(2, 3, 1, 1, 1) * np.ones((5, 5, 1), np.uint8)
    agrees = np.array([[True, True, False], [True, True, True]])
    ax = plot_neighbour_rows(queries, neighbours, agrees, ax=new_figure(4, 3).subplots())
    sheet = np.asarray(ax.images[0].get_array())
    assert sheet.shape == (2 * 5 + 2, 5 + SEPARATION_PX + 3 * 5 + 2 * 2, 4)
    assert sheet[0, 0, 0] == 10
    assert sheet[0, 5 + SEPARATION_PX + 7, 0] == 1
    assert sheet[7, 5 + SEPARATION_PX, 0] == 3
    (frame,) = ax.patches
    assert frame.get_xy() == (5 + SEPARATION_PX + 14 - 0.5, -0.5)
    with pytest.raises(ValueError, match="do not fit"):
        plot_neighbour_rows(queries[:1], neighbours, ax=new_figure(4, 3).subplots())


def test_reconstructions_stand_below_their_images() -> None:
    images = np.full((3, 4, 4, 1), 200, np.uint8)
    ax = plot_reconstructions(images, images // 2, ax=new_figure(4, 3).subplots(), columns=3)
    sheet = np.asarray(ax.images[0].get_array())
    assert sheet.shape == (8, 16, 4)
    assert (sheet[0, 0, 0], sheet[4, 0, 0]) == (200, 100)
