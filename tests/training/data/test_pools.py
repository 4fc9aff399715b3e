"""Balanced drawing: labels, datasets and generators in their shares, each example in its turn, for a seed."""

from collections import Counter

import numpy as np
import pytest

from fauxscan.records import FAKE, REAL
from fauxscan.training.data.pools import Draws, Pool, make_pools, schedule

COUNTS = {
    ("large", REAL, ""): 900, ("large", FAKE, "stylegan"): 700, ("large", FAKE, "deepfake"): 300,
    ("small", REAL, ""): 40, ("small", FAKE, "stylegan"): 10, ("small", FAKE, "diffusion"): 50,
}  # fmt: skip


def drawn(pools: tuple[Pool, ...], images: int) -> dict[tuple[str, str], int]:
    """How often each dataset's generator is drawn in an epoch."""
    count = Counter(schedule(pools, images).tolist())
    return {(pool.dataset, pool.generator): count[number] for number, pool in enumerate(pools)}


def test_every_generator_and_every_pool_of_reals_is_drawn_equally_often() -> None:
    assert drawn(make_pools(COUNTS, {"large": 1, "small": 1}), 1200) == {
        ("large", ""): 300, ("small", ""): 300,
        ("large", "deepfake"): 200, ("small", "diffusion"): 200,
        ("large", "stylegan"): 100, ("small", "stylegan"): 100,
    }  # fmt: skip


def test_a_share_weights_the_reals_and_each_generator_of_a_dataset() -> None:
    assert drawn(make_pools(COUNTS, {"large": 1, "small": 3}), 1200) == {
        ("large", ""): 150, ("small", ""): 450,
        ("large", "deepfake"): 100, ("small", "diffusion"): 300,
        ("large", "stylegan"): 50, ("small", "stylegan"): 150,
    }  # fmt: skip


def test_any_stretch_holds_the_pools_in_their_shares() -> None:
    pools = make_pools(COUNTS, {"large": 1, "small": 1})
    order = schedule(pools, 1200)
    labels = np.array([pool.label for pool in pools])[order]
    assert (labels[0::2] == REAL).all() and (labels[1::2] == FAKE).all()
    for number, pool in enumerate(pools):
        share = (order == number).mean()
        counts = np.lib.stride_tricks.sliding_window_view(order == number, 48).sum(axis=1)
        assert np.abs(counts - 48 * share).max() <= 2, pool


@pytest.mark.parametrize("images", [6, 7, 33, 1000])
def test_no_pool_is_left_out_and_an_epoch_is_full(images: int) -> None:
    pools = make_pools(COUNTS | {("rare", FAKE, "new"): 3}, {"large": 1, "small": 1, "rare": 0.001})
    assert sum(drawn(pools, images * 2).values()) == images * 2
    assert min(drawn(pools, images * 2).values()) >= 1


def test_each_example_comes_once_in_a_turn_and_turns_go_on_over_epochs() -> None:
    pools = make_pools(COUNTS, {"large": 1, "small": 1})
    draws, epochs = Draws(pools, 100, seed=5), 30
    seen = [draws[number] for number in range(epochs * 100)]
    for number, pool in enumerate(pools):
        examples = [example for where, example in seen if where == number]
        turns = [examples[i : i + pool.examples] for i in range(0, len(examples), pool.examples)]
        assert all(sorted(turn) == list(range(pool.examples)) for turn in turns if len(turn) == pool.examples)
        assert all(len(set(turn)) == len(turn) for turn in turns)
    orders = [[example for where, example in seen if where == len(pools) - 1][i : i + 10] for i in (0, 10)]
    assert orders[0] != orders[1] or pools[-1].examples != 10


def test_what_is_drawn_follows_from_the_seed_alone_wherever_it_begins() -> None:
    pools = make_pools(COUNTS, {"large": 1, "small": 1})
    first = [Draws(pools, 100, seed=5)[number] for number in range(400)]
    again, other = Draws(pools, 100, seed=5), Draws(pools, 100, seed=6)
    assert [again[number] for number in range(250, 400)] == first[250:], "a resumed training goes on with the next"
    assert [other[number] for number in range(400)] != first
    assert [where for where, _ in first[:100]] == [other[number][0] for number in range(100)]
