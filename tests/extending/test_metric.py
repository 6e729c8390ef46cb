"""A metric of another package: scored, recorded, shown and compared; left out when broken."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

import bench
import bench.metrics
from bench.__main__ import run
from bench.errors import EXIT_INVALID, EXIT_OK
from bench.metrics import OWN_METRICS
from bench.records.score_record import ScoreRecord
from tests.extending.conftest import Install, Package, examples

GROUP = "latentbench.metrics"
MODULE, PYPROJECT = examples(bench.metrics.__doc__)
ENTRIES = tomllib.loads(PYPROJECT)["project"]["entry-points"]
OWN = [metric.name for metric in OWN_METRICS]


@pytest.fixture
def package(install: Install) -> Package:
    """The example of the documentation, installed."""
    return install({"nearest_real.py": MODULE}, ENTRIES)


def scored(package: Package, folder: Path, *options: str) -> tuple[ScoreRecord, str]:
    """The record of a folder by a new process, and what it wrote on stderr."""
    done = package.run("score", str(folder), "--json", "--no-pictures", *options)
    assert done.returncode == EXIT_OK, done.stderr
    return ScoreRecord.model_validate_json(done.stdout), done.stderr


def test_the_example_has_at_most_30_lines() -> None:
    assert len((MODULE + PYPROJECT).splitlines()) <= 30


def test_a_metric_of_another_package(
    package: Package, digits_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    record, errors = scored(package, digits_folder, "--metrics", "nearest_real,fid")
    assert "omitted" not in errors
    assert [entry.metric for entry in record.values] == ["fid", "nearest_real"]
    entry = record.values[1]
    assert entry.value is not None
    assert entry.interval is not None
    assert entry.interval.low < entry.value < entry.interval.high
    # these are real test digits, as the 300 that the expected value is made of
    assert entry.expected == pytest.approx(entry.value, rel=0.1)
    assert (entry.unit, entry.n_fake, entry.n_real) == ("feature units", 300, 10_000)

    listed = package.run("metrics")
    assert "nearest_real" in listed.stdout

    # this process does not have the package: its records are read, shown and compared all the same
    path = tmp_path / "record.json"
    path.write_text(record.model_dump_json())
    (read,) = bench.read_records(path)
    assert bench.table(read)["metric"].tolist() == ["fid", "nearest_real"]
    assert run(["report", str(path), "--out", str(tmp_path / "page.html")]) == EXIT_OK
    assert "nearest_real" in (tmp_path / "page.html").read_text()
    worse = entry.model_copy(
        update={name: getattr(entry, name) * 2 for name in ("value", "expected")}
        | {
            "interval": entry.interval.model_copy(
                update={
                    name: getattr(entry.interval, name) * 2 for name in ("estimate", "low", "high")
                }
            )
        }
    )
    images = record.submission.model_copy(update={"sequence_digest": "0" * 64})
    other = record.model_copy(update={"values": (record.values[0], worse), "submission": images})
    (tmp_path / "worse.json").write_text(other.model_dump_json())
    capsys.readouterr()
    assert run(["compare", str(path), str(tmp_path / "worse.json")]) == EXIT_INVALID
    assert "1 regression (nearest_real)" in capsys.readouterr().out


def test_another_version_of_the_metric_is_not_served_from_the_cache(
    package: Package, digits_folder: Path
) -> None:
    first, _ = scored(package, digits_folder, "--metrics", "nearest_real")
    again, _ = scored(package, digits_folder, "--metrics", "nearest_real")
    assert again.from_cache
    assert again.code == first.code
    package.write("nearest_real.py", MODULE.replace(".mean())", ".mean()) / 4"))
    changed, _ = scored(package, digits_folder, "--metrics", "nearest_real")
    assert not changed.from_cache
    assert changed.code != first.code
    assert changed.value("nearest_real") == first.value("nearest_real") / 4
    assert changed.values[0].expected == first.values[0].expected / 4


def test_a_broken_package_is_left_out(install: Install, digits_folder: Path) -> None:
    package = install(
        {
            "nearest_real.py": MODULE,
            "incomplete.py": MODULE.replace("nearest_real", "incomplete").replace(
                'scale="linear"', 'scale="cubic"'
            ),
        },
        {
            GROUP: ENTRIES[GROUP]
            | {"incomplete": "incomplete:NEAREST_REAL", "missing": "no_such_module:ROW"}
        },
    )
    record, errors = scored(package, digits_folder)
    assert [entry.metric for entry in record.values] == [*OWN, "nearest_real"]
    assert "omitted: metric 'missing': no_such_module:ROW cannot be loaded" in errors
    assert "metric 'incomplete': scale ['cubic']: expected linear, log, symlog" in errors
    assert "repair or uninstall package toy" in errors
    refused = package.run("score", str(digits_folder), "--metrics", "incomplete")
    assert refused.returncode != EXIT_OK
    assert "metric 'incomplete': scale ['cubic']" in refused.stderr
    assert "Traceback" not in refused.stderr


BROKEN = MODULE.replace("nearest_real", "broken")
FAULTS = {
    "raises": ("    return MetricValue(", "    return 1 / 0 + MetricValue(", "ZeroDivisionError"),
    "returns": ("    return MetricValue(", "    return float(", "expected a MetricValue"),
    "interval": ("    return mean_interval(", "    return None(", "'NoneType' object is not call"),
    "details": (".mean()))", ".mean()), None, {'x': float('nan')})", "finite number"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_metric_that_fails_has_a_reason_and_the_others_have_values(
    install: Install, digits_folder: Path, fault: str
) -> None:
    old, new, said = FAULTS[fault]
    assert old in BROKEN
    module = BROKEN.replace(old, new)
    package = install({"broken.py": module}, {GROUP: {"broken": "broken:NEAREST_REAL"}})
    record, _ = scored(package, digits_folder, "--metrics", "modes_covered,broken")
    good, bad = record.values
    assert good.value == 10
    assert bad.value is None
    assert bad.reason is not None
    assert bad.reason.startswith("failed: ")
    assert said in bad.reason
    again, _ = scored(package, digits_folder, "--metrics", "modes_covered,broken")
    assert not again.from_cache, "a failure may be over the next time"
