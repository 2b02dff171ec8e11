"""What the doctor says of the size of shards."""

from __future__ import annotations

from pipeline.store.elasticsearch.health import advice

GB = 1_000_000_000


def test_shards_of_a_good_size_need_no_advice() -> None:
    assert list(advice({}, 0, 0)) == []
    assert list(advice({"a": (50 * GB, 1), "b": (90 * GB, 2)}, 5, 1)) == []


def test_a_shard_that_grew_too_large_gets_a_number_for_the_next_month() -> None:
    (said,) = advice({"small": (GB, 1), "logs-big": (124 * GB, 2)}, 5, 1)
    assert said.startswith("logs-big holds 124 GB in 2 shards, of which one takes 50 GB at most")
    assert "store.elasticsearch.shards to 5" in said


def test_a_cluster_near_its_limit_of_shards_is_told_so() -> None:
    (said,) = advice({}, 1_601, 2)
    assert said.startswith("1,601 shards on 2 nodes, of 1,000 a node")
    assert list(advice({}, 1_600, 2)) == []
