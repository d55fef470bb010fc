"""A suite's trials on the machines of a Dask cluster, behind the same seam as those on this machine.

``address`` reads what ``--cluster`` names and ``connection`` opens it; ``executor.OnCluster`` runs a plan there.
``asking`` finds out what each worker is; ``workers`` holds that as plain data and says which trials one cannot run, and
``placement`` decides what goes where: both are rules without a process. ``task`` is the part that runs on the workers,
and ``check`` tells of a cluster in lines.

Dask carries trials and records and tells who lives. Which trial goes where is decided here, since Dask knows no
machine with several workers, and only as much is sent as can run: a long plan costs the scheduler nothing.
"""
