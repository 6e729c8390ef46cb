"""`Finding`: one kind of problem in a submission; `Collector` gathers them in a fixed order."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from bench.intake.codes import CODES, SEVERITIES, Severity
from bench.runtime.printable import sanitise

NUM_EXAMPLES = 5
NUM_DETAILS = 4


@dataclass(frozen=True)
class Finding:
    """One kind of problem and the files that have it.

    `count` is the number of affected files (or images, entries, folders). `examples` are the first
    five names in sorted order, safe to print. `message` says what was found and what was expected,
    `fix` what to do about it. `severity` is "error" if the submission cannot be scored.
    """

    code: str
    severity: Severity
    count: int
    examples: tuple[str, ...]
    message: str
    fix: str


_ORDER = {code: place for place, code in enumerate(CODES)}


class Collector:
    """A collection of problems, added in any order and returned as findings in a fixed one.

    With `strict`, codes have the severity that they have under a spec.

    >>> collector = Collector()
    >>> collector.add("empty-file", [b"7.png", b"3.png"])
    >>> [(finding.code, finding.examples) for finding in collector.findings()]
    [('empty-file', ('3.png', '7.png'))]
    """

    def __init__(self, *, strict: bool = False) -> None:
        self._strict = strict
        self._names: dict[str, list[bytes]] = {}
        self._details: dict[str, Counter[str]] = {}
        self._counts: Counter[str] = Counter()

    def add(
        self, code: str, names: Iterable[bytes] = (), detail: str = "", count: int | None = None
    ) -> None:
        """Add a problem of the files `names`, all for the same reason `detail`.

        `count` is the number of affected files, if it is not that of the names. Raises `KeyError`
        for an unknown code.
        """
        if code not in CODES:
            raise KeyError(code)
        added = list(names)
        self._counts[code] += len(added) if count is None else count
        self._names.setdefault(code, []).extend(added)
        details = self._details.setdefault(code, Counter())
        if detail:
            details[detail] += len(added) if count is None else count

    @property
    def has_errors(self) -> bool:
        return any(self._severity(code) == "error" for code in self._names)

    def findings(self) -> tuple[Finding, ...]:
        """Return errors, then warnings, then infos, each in the order of `CODES`."""
        codes = sorted(
            self._names, key=lambda code: (SEVERITIES.index(self._severity(code)), _ORDER[code])
        )
        return tuple(self._finding(code) for code in codes)

    def _severity(self, code: str) -> Severity:
        row = CODES[code]
        return row.with_spec if self._strict else row.severity

    def _finding(self, code: str) -> Finding:
        names = sorted(self._names[code])
        message = CODES[code].message
        details = self._details[code].most_common()
        if len(details) == 1:
            message += f": {details[0][0]}"
        elif details:
            shown = [f"{detail} ({count:,})" for detail, count in details[:NUM_DETAILS]]
            more = f", and {len(details) - NUM_DETAILS} more" if len(details) > NUM_DETAILS else ""
            message += f": {', '.join(shown)}{more}"
        return Finding(
            code=code,
            severity=self._severity(code),
            count=self._counts[code],
            examples=tuple(sanitise(name) for name in names[:NUM_EXAMPLES]),
            message=message,
            fix=CODES[code].fix,
        )
