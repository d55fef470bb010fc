"""Generated traffic with the KDD schema: each row is a connection, seen within two windows of other connections.

Counts are drawn first and every rate is a quotient of two of them, so that the columns agree with each other as in the
real files: of ``count`` connections to this host, ``count`` · ``same_srv_rate`` asked for this service, and they are
what ``srv_diff_host_rate`` leaves of ``srv_count``. The profiles give each service and each attack its byte sizes,
flags and windows, set by hand after the marginals of NSL-KDD; no published row is contained. Floods and scans stand
out; guessed passwords, SNMP queries, tunnels and root exploits look much like the sessions they hide among.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from datasets.blobs import MOST_ROWS
from datasets.dataset import Dataset, Request, require
from datasets.kdd import COLUMNS, Duplicates, assemble
from datasets.scaling import Scale
from datasets.splitting import TrainingPart, check, generator

if TYPE_CHECKING:
    import pandas as pd

Counts = NDArray[np.int64]
Spread = tuple[float, float]
"""Median and deviation of the logarithm, of a lognormal count."""

ICMP = ("eco_i", "ecr_i", "urp_i")
UDP = ("domain_u", "other", "private", "ntp_u")
HALF_OPEN = ("S0", "SH", "S3")
REFUSED = ("REJ", "RSTO", "RSTR")
SILENT = ("S0", "SH", "REJ")
"""States in which no byte has passed."""
CLEAN = {"SF": 1.0}
USUAL = {"SF": 0.93, "REJ": 0.045, "S0": 0.007, "S1": 0.007, "RSTO": 0.006, "RSTR": 0.005}


@dataclass(frozen=True)
class Window:
    """The connections to the same host (of the last 2 seconds, or the last 100) that a connection is seen among."""

    count: Spread
    same: float = 1.0
    """Expected share that asks for the same service."""
    scattered: float = 0.3
    """Of the others: the share that asks for a service not asked for before."""
    elsewhere: float = 0.3
    """Connections to the same service of other hosts, per one here."""


@dataclass(frozen=True)
class Profile:
    """One kind of traffic; `weight` is its share within its family."""

    weight: float
    services: tuple[str, ...]
    recent: Window
    host: Window
    src: Spread = (0, 0)
    dst: Spread = (0, 0)
    flags: dict[str, float] = field(default_factory=lambda: USUAL)
    duration: tuple[float, float, float] = (0, 1, 0)
    """Probability of being above 0 seconds; then median and deviation."""
    logged_in: float = 0.0
    same_port: float = 0.05
    """Expected share of the host window that came from the same source port."""
    content: dict[str, tuple[float, float]] = field(default_factory=dict)
    """Counters and flags: probability of being above 0, and the mean then (flags: 1)."""


SESSION = {
    "hot": (0.12, 2.0),
    "num_compromised": (0.06, 2.0),
    "num_root": (0.1, 4.0),
    "num_file_creations": (0.07, 2.0),
    "num_access_files": (0.05, 1.2),
    "num_failed_logins": (0.03, 1.1),
    "root_shell": (0.03, 1.0),
    "su_attempted": (0.02, 1.0),
    "num_shells": (0.01, 1.0),
}
FTP = {"is_guest_login": (0.35, 1.0), "hot": (0.35, 3.0), "num_file_creations": (0.04, 2.0)}
ALONE, FEW = Window((1, 0.4), elsewhere=0.1), Window((3, 0.9), same=0.97)
BUSY_HOST, MIXED_HOST = Window((110, 1.3), same=0.96, elsewhere=1.5), Window((150, 1.0), same=0.35, scattered=0.06)

TRAFFIC: dict[str, dict[str, Profile]] = {
    "normal": {
        "web": Profile(
            0.54, ("http",), Window((6, 1.1), same=0.99), BUSY_HOST, (240, 0.35), (1600, 1.4), logged_in=1.0,
            duration=(0.03, 4, 1.5), content={"hot": (0.004, 1.2)},
        ),
        "name queries": Profile(
            0.13, ("domain_u",), Window((60, 1.3), same=0.995), Window((200, 0.7), same=0.97), (44, 0.12), (95, 0.5),
            CLEAN,
        ),
        "mail": Profile(
            0.105, ("smtp",), Window((1.5, 0.6), same=0.9), Window((130, 1.0), same=0.6, scattered=0.05),
            (1000, 0.7), (330, 0.12), duration=(0.6, 1.6, 0.7), logged_in=1.0,
        ),
        "file data": Profile(
            0.075, ("ftp_data",), FEW, MIXED_HOST, (1500, 2.2), logged_in=0.8, same_port=0.4,
            duration=(0.25, 3, 1.2), content={"is_guest_login": (0.08, 1.0)},
        ),
        "datagrams": Profile(
            0.045, ("other",), FEW, Window((220, 0.5), same=0.05, scattered=0.3), (146, 0.1), (105, 0.05), CLEAN,
            duration=(0.5, 1800, 1.6), same_port=0.6,
        ),
        "private": Profile(0.02, ("private",), FEW, MIXED_HOST, (85, 0.45), (120, 0.35), CLEAN),
        "clock": Profile(0.006, ("ntp_u",), ALONE, MIXED_HOST, (48, 0), (48, 0), CLEAN),
        "file control": Profile(
            0.016, ("ftp",), ALONE, MIXED_HOST, (130, 0.9), (450, 0.9), duration=(0.8, 15, 1.5),
            logged_in=0.85, content=FTP,
        ),
        "terminal": Profile(
            0.016, ("telnet",), ALONE, MIXED_HOST, (260, 1.4), (1600, 1.6), duration=(0.9, 60, 2.0), logged_in=0.75,
            content=SESSION,
        ),
        "mail box": Profile(
            0.006, ("pop_3", "imap4"), ALONE, MIXED_HOST, (40, 0.5), (300, 1.5), duration=(0.5, 2, 1.0), logged_in=0.8,
        ),
        "pings": Profile(
            0.02, ICMP, FEW, Window((80, 1.2), same=0.7, elsewhere=0.5), (30, 0.9), flags=CLEAN, same_port=0.6,
        ),
        "small services": Profile(
            0.016, ("finger", "auth", "time", "IRC", "X11"), FEW, MIXED_HOST, (8, 0.6), (60, 1.5),
        ),
    },
    "dos": {
        "neptune": Profile(
            0.5, ("private", "telnet", "http", "smtp", "uucp", "bgp", "iso_tsap", "Z39_50", "finger"),
            Window((170, 0.5), same=0.07, scattered=0.08, elsewhere=0.02),
            Window((250, 0.1), same=0.06, scattered=0.08, elsewhere=0.02),
            flags={"S0": 0.55, "REJ": 0.38, "RSTR": 0.07}, same_port=0.0, content={"land": (0.004, 1.0)},
        ),
        "smurf": Profile(
            0.12, ("ecr_i",), Window((280, 0.6)), Window((250, 0.2), same=0.95), (1032, 0.15), flags=CLEAN,
            same_port=0.95,
        ),
        "back": Profile(
            0.1, ("http",), Window((5, 0.8)), BUSY_HOST, (50_000, 0.2), (8000, 0.3), {"SF": 0.9, "RSTR": 0.1},
            logged_in=1.0, content={"hot": (0.9, 2.0), "num_compromised": (0.8, 1.0)},
        ),
        "slow requests": Profile(
            0.13, ("http",), Window((20, 1.2)), BUSY_HOST, (600, 1.2), (900, 1.6), {"SF": 0.6, "S3": 0.2, "RSTR": 0.2},
            duration=(0.5, 300, 1.5), logged_in=0.6,
        ),
        "mail bomb": Profile(
            0.08, ("smtp",), Window((4, 0.8)), Window((220, 0.4), same=0.8, scattered=0.04), (2550, 0.1), (295, 0.05),
            CLEAN, logged_in=1.0, duration=(0.2, 1, 0.3),
        ),
        "fragments": Profile(
            0.07, ("private",), Window((40, 0.8)), Window((200, 0.5), same=0.2), (28, 0), flags=CLEAN,
            content={"wrong_fragment": (1.0, 2.5)},
        ),
    },
    "probe": {
        "port scan": Profile(
            0.3, ("private", "other", "telnet", "uucp", "imap4", "sunrpc"), Window((2, 1.0), same=0.6, scattered=1.0),
            Window((200, 0.6), same=0.03, scattered=0.9), flags={"REJ": 0.45, "RSTR": 0.4, "SH": 0.05, "SF": 0.1},
            duration=(0.1, 2, 2), same_port=0.4,
        ),
        "service scan": Profile(
            0.35, ("other", "private", "finger", "telnet", "smtp", "domain_u"),
            Window((60, 1.5), same=0.1, scattered=0.6, elsewhere=0.02), Window((240, 0.2), same=0.05, scattered=0.4),
            (5, 1.5), (20, 1.5), {"REJ": 0.55, "S0": 0.12, "SF": 0.33},
        ),
        "address sweep": Profile(
            0.2, ("eco_i",), Window((1, 0.2), elsewhere=8), Window((3, 1.2), elsewhere=12), (8, 0.4), flags=CLEAN,
            same_port=0.9,
        ),
        "vulnerability scan": Profile(
            0.15, ("pop_3", "imap4", "http", "ftp", "telnet"), FEW, MIXED_HOST, (30, 1.2), (90, 1.2),
            {"SF": 0.75, "RSTO": 0.25}, duration=(0.3, 3, 1.0),
        ),
    },
    "r2l": {
        "guessed password": Profile(
            0.4, ("pop_3", "telnet", "ftp"), ALONE, MIXED_HOST, (32, 0.4), (95, 0.5), {"SF": 0.88, "RSTO": 0.12},
            duration=(0.7, 3, 0.6), content={"num_failed_logins": (0.3, 1.0)},
        ),
        "stolen files": Profile(
            0.2, ("ftp", "ftp_data"), FEW, MIXED_HOST, (900, 2.5), (600, 1.5), CLEAN, duration=(0.7, 40, 1.8),
            logged_in=0.95, content=FTP,
        ),
        "SNMP query": Profile(0.28, ("private",), FEW, MIXED_HOST, (60, 0.4), (110, 0.45), CLEAN),
        "tunnel": Profile(
            0.12, ("http",), Window((3, 1.0)), BUSY_HOST, (350, 0.8), (1500, 1.6), logged_in=1.0,
            duration=(0.2, 6, 1.5),
        ),
    },
    "u2r": {
        "overflow": Profile(
            0.6, ("telnet",), ALONE, MIXED_HOST, (900, 1.2), (2600, 1.2), CLEAN, duration=(0.95, 80, 1.2),
            logged_in=0.95,
            content=SESSION | {"hot": (0.7, 3.0), "root_shell": (0.6, 1.0), "num_file_creations": (0.5, 2.0)},
        ),
        "root kit": Profile(
            0.4, ("telnet", "ftp", "ftp_data"), ALONE, MIXED_HOST, (400, 2.0), (900, 2.0), duration=(0.7, 60, 1.8),
            logged_in=0.85, content=SESSION | {"num_root": (0.3, 6.0), "urgent": (0.1, 1.5)},
        ),
    },
}  # fmt: skip
ATTACKS = {"dos": 0.5, "probe": 0.2, "r2l": 0.25, "u2r": 0.05}
"""Shares of the families among the attacks, those of NSL-KDD's test file with more of its rare u2r and fewer floods."""


def load_kdd_synthetic(
    request: Request,
    *,
    rows: int = 12_000,
    contamination: float = 0.25,
    scale: Scale = "standard",
    duplicates: Duplicates = "drop",
    train_contamination: float = 0.0,
    train_rows: int = 0,
) -> Dataset:
    """Generated KDD-style traffic, 41 features: normal services, and four attack families as the anomaly."""
    asked = TrainingPart(train_contamination, train_rows)
    check(request, asked)
    attacks = round(rows * contamination)
    require(
        rows <= MOST_ROWS and attacks >= 10 and rows - attacks >= 100,
        f"data set '{request.name}': {contamination:g} of {rows} rows makes {attacks} attacks; it wants at least 10, "
        f"and 100 normal rows besides, and at most {MOST_ROWS:,} rows",
    )
    traffic, family = generate_traffic(request.seed, {"normal": rows - attacks} | _shares(attacks))
    return assemble(
        request,
        traffic,
        family != "normal",
        f"Generated: {rows - attacks:,} rows of normal traffic and {attacks:,} attacks "
        f"({', '.join(f'{share:.0%} {name}' for name, share in ATTACKS.items())}) in the schema of KDD Cup 1999.",
        (scale, duplicates, asked),
    )


def generate_traffic(seed: int, counts: dict[str, int]) -> tuple[pd.DataFrame, NDArray[np.object_]]:
    """`counts[family]` rows of each family, with the schema's columns in order, and the family of each row."""
    import pandas as pd

    parts, families = [], []
    for family, count in counts.items():
        profiles = TRAFFIC[family]
        weights = np.array([profile.weight for profile in profiles.values()])
        sizes = generator(seed, family).multinomial(count, weights / weights.sum())
        for (name, profile), size in zip(profiles.items(), sizes, strict=True):
            parts.append(_connections(profile, int(size), generator(seed, f"{family}: {name}")))
        families += [family] * count
    columns = {name: np.concatenate([part[name] for part in parts]) for name in COLUMNS}
    return pd.DataFrame(columns), np.array(families, dtype=object)


def _shares(attacks: int) -> dict[str, int]:
    """Whole numbers of attacks by family; dos takes the rounding."""
    counts = {family: round(attacks * share) for family, share in ATTACKS.items()}
    return counts | {"dos": counts["dos"] + attacks - sum(counts.values())}


def _connections(profile: Profile, rows: int, rng: np.random.Generator) -> dict[str, NDArray[np.generic]]:
    service = np.array(profile.services, dtype=object)[rng.integers(len(profile.services), size=rows)]
    shares = np.array(list(profile.flags.values()))
    flag = np.array(list(profile.flags), dtype=object)[rng.choice(len(shares), rows, p=shares / shares.sum())]
    protocol = np.where(np.isin(service, ICMP), "icmp", np.where(np.isin(service, UDP), "udp", "tcp")).astype(object)
    flag[protocol != "tcp"] = "SF"  # only TCP has a handshake to fail
    spoke = ~np.isin(flag, SILENT)

    columns: dict[str, NDArray[np.generic]] = {name: np.zeros(rows, dtype=np.int64) for name in COLUMNS}
    columns |= {"protocol_type": protocol, "service": service, "flag": flag}
    lasting, *length = profile.duration
    columns["duration"] = _lognormal(rng, (length[0], length[1]), rows) * (rng.random(rows) < lasting)
    columns["src_bytes"] = _lognormal(rng, profile.src, rows) * spoke
    columns["dst_bytes"] = _lognormal(rng, profile.dst, rows) * spoke
    logged_in = spoke & (rng.random(rows) < profile.logged_in)
    columns["logged_in"] = logged_in.astype(np.int64)
    for name, (probability, mean) in profile.content.items():
        columns[name] = rng.geometric(1 / mean, rows) * (spoke & (rng.random(rows) < probability))

    failed = np.isin(flag, HALF_OPEN).astype(np.int64), np.isin(flag, REFUSED).astype(np.int64)
    recent, _ = _window(profile.recent, 511, failed, rng)
    hosts, size = _window(profile.host, 255, failed, rng)
    columns |= recent
    columns |= {f"dst_host_{name}": values for name, values in hosts.items()}
    columns["dst_host_same_src_port_rate"] = _rate(
        1 + rng.binomial(size - 1, _beta(rng, profile.same_port, rows)), size
    )
    return columns


def _window(
    window: Window, cap: int, failed: tuple[Counts, Counts], rng: np.random.Generator
) -> tuple[dict[str, NDArray[np.generic]], Counts]:
    """The window's columns under the names they have for the last 2 seconds, and its size per row."""
    rows = len(failed[0])
    count = np.clip(_lognormal(rng, window.count, rows), 1, cap)
    same = 1 + rng.binomial(count - 1, _beta(rng, window.same, rows))
    others = count - same
    services = np.minimum(others, 1 + rng.binomial(np.maximum(others - 1, 0), window.scattered))
    elsewhere = np.minimum(rng.poisson(same * window.elsewhere * _sometimes(rng, rows)), cap - same)
    srv_count = same + elsewhere
    columns: dict[str, NDArray[np.generic]] = {
        "count": count,
        "srv_count": srv_count,
        "same_srv_rate": _rate(same, count),
        "diff_srv_rate": _rate(services, count),
        "srv_diff_host_rate": _rate(elsewhere, srv_count),
    }
    # a connection that fails is rarely alone; one that does not sees few failures around it. Kinds exclude each other.
    half_open, refused = (
        np.where(own == 1, _beta(rng, 0.85, rows), (0.02 * _sometimes(rng, rows)).clip(0, 1)) for own in failed
    )
    for prefix, size in (("", count), ("srv_", srv_count)):
        serrors = failed[0] + rng.binomial(size - failed[0] - failed[1], half_open)
        rerrors = failed[1] + rng.binomial(size - failed[1] - serrors, refused)
        columns |= {f"{prefix}serror_rate": _rate(serrors, size), f"{prefix}rerror_rate": _rate(rerrors, size)}
    return columns, count


def _lognormal(rng: np.random.Generator, spread: Spread, rows: int) -> Counts:
    median, deviation = spread
    return np.rint(median * np.exp(deviation * rng.standard_normal(rows)).clip(0, 1e6)).astype(np.int64)


def _beta(rng: np.random.Generator, mean: float, rows: int) -> NDArray[np.float64]:
    """Shares that differ from row to row around the mean; 0 and 1 are exact."""
    return rng.beta(4 * mean, 4 * (1 - mean), rows) if 0 < mean < 1 else np.full(rows, mean)


def _sometimes(rng: np.random.Generator, rows: int) -> NDArray[np.float64]:
    """Intensities of mean 1 that are 0 for two rows in three: most windows are quiet, a few are busy."""
    return 3 * rng.exponential(size=rows) * (rng.random(rows) < 1 / 3)


def _rate(part: Counts, whole: Counts) -> NDArray[np.float64]:
    return np.round(part / whole, 2)
