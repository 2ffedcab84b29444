"""A real Ray cluster on this machine."""

from __future__ import annotations

from typing import Any

import pytest

RULES = "unit.claimed=pause*0,clip.encoding=kill*0@poison"
"""In the processes of the cluster: a second a unit, and death at a file named poison."""


def start_cluster() -> Any:
    """A head without CPUs, and a node of two."""
    from ray.cluster_utils import Cluster

    made = Cluster(initialize_head=True, head_node_args={"num_cpus": 0})
    add_node(made, num_cpus=2)
    return made


def add_node(cluster: Any, **resources: int) -> Any:
    """One more node, once the others know it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("VIDEOPREP_FAILPOINTS", RULES)
        node = cluster.add_node(**resources)
    cluster.wait_for_nodes()
    return node
