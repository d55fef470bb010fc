"""The harness: suites become trials, trials become records, and only this package knows the other three."""

DISTRIBUTION = "vaebench"
__version__ = "0.1.0"
