"""Settings of Dask's that a profile gives: known ones are taken, others get one line before anything is asked."""

from __future__ import annotations

import pytest

pytest.importorskip("distributed")

from bench.cluster import connection
from bench.cluster.address import Address, ClusterError
from bench.cluster.connection import opened


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("distributed.comm.timeouts.conect", "did you mean 'distributed.comm.timeouts.connect'?"),
        ("distributed.comms.timeouts.connect", "did you mean 'distributed.comm'?"),
        ("distributed.comm.timeouts.connect.more", "Dask has no setting"),
        ("distributed.comm", "is a group of settings"),
    ],
)
def test_a_setting_that_dask_does_not_have_gets_one_line(name, said):
    with pytest.raises(ClusterError) as error, opened(Address(url="tcp://127.0.0.1:1", dask={name: "1s"})):
        pass
    assert said in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "name",
    ["distributed.comm.timeouts.connect", "distributed.nanny.environ.OMP_NUM_THREADS", "jobqueue.slurm.queue"],
)
def test_what_dask_or_another_package_may_know_is_no_fault_of_the_profile(name, monkeypatch):
    monkeypatch.setattr(connection, "CONNECT_SECONDS", 0.2)
    with (
        pytest.raises(ClusterError, match="no Dask scheduler answers"),
        opened(Address(url="tcp://127.0.0.1:1", dask={name: "1s"})),
    ):
        pass


def test_encryption_without_certificates_is_named():
    told = r"tls:// wants Dask's settings distributed\.comm\.tls\.ca-file"
    with pytest.raises(ClusterError, match=told), opened(Address(url="tls://127.0.0.1:1")):
        pass
