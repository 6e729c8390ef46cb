"""Durations, amounts and rates as text."""

from __future__ import annotations

UNITS = {  # by the first word of a stage
    "read": "images",
    "features": "images",
    "repair": "images",
    "write": "images",
    "train": "steps",
    "sample": "images",
    "judge": "fits",
}


def duration(seconds: float) -> str:
    """Return a time in seconds below 2 minutes, in minutes below 2 hours, else hours and minutes.

    >>> duration(90), duration(3600), duration(9000)
    ('90 s', '60 min', '2 h 30 min')
    """
    if seconds < 120:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 120 else f"{minutes // 60} h {minutes % 60:02d} min"


def format_amount(stage: str, amount: int) -> str:
    """Return an amount as text. The stage of a download is a file name, and its amount in bytes.

    >>> format_amount("read", 12_000), format_amount("weights.pth", 5_300_000)
    ('12,000', '5.3 MB')
    """
    return f"{amount / 1e6:.1f} MB" if _unit(stage) == "MB" else f"{amount:,}"


def format_rate(stage: str, speed: float) -> str:
    """Return a rate, given in amounts per second, as text with the unit of the stage.

    >>> format_rate("read", 812.3), format_rate("weights.pth", 5_300_000)
    ('812 images/s', '5.3 MB/s')
    """
    unit = _unit(stage)
    if unit == "MB":
        speed /= 1e6
    digits = 0 if speed >= 20 else 1
    return f"{speed:,.{digits}f} {unit}/s" if unit else f"{speed:,.{digits}f}/s"


def _unit(stage: str) -> str:
    if "." in stage:  # a file name, so a download
        return "MB"
    return UNITS.get(stage.split(maxsplit=1)[0], "") if stage.strip() else ""
