"""More copies of training images than held-out real images give by chance."""

from __future__ import annotations

from bench.content.copies import ASSUMED_RATE, MIN_CHECKED, least_count, real_rate
from bench.content.evidence import Evidence
from bench.content.finding import ContentFinding, Cost, Found, share_of

# Of the images, if all copies are near ones: digits "1" are closer to each other than other digits.
MIN_NEAR_SHARE = 0.005


def _check(evidence: Evidence) -> Found | None:
    reference, copies, n = evidence.reference, evidence.copies, evidence.facts.num_images
    if reference is None or copies is None:
        return None
    rates, count = reference.copy_rates, len(copies.rows)
    found = rates.num_near if copies.verified else rates.num_alone
    checked = rates.num_checked
    # equal images do not come by chance, unless the data set repeats its own
    equal = max(
        rates.num_equal / max(checked, 1), min(1.0, reference.exact_pairs * reference.num_train)
    )
    close = real_rate(rates.num_close, checked)
    if checked >= MIN_CHECKED:  # real images are never so near: none among many means none
        close = rates.num_close / checked
    rate = found / checked if checked else ASSUMED_RATE
    limits = (
        (copies.num_equal, least_count(n, equal)),
        (copies.num_close, least_count(n, close)),
        (count, max(MIN_NEAR_SHARE * n, least_count(n, real_rate(found, checked)))),
    )
    if not any(number >= least for number, least in limits):
        return None
    is_guess = copies.num_near and not copies.verified
    return Found(
        count,
        f"{share_of(count, n)}: {copies.num_exact:,} in every pixel, {copies.num_within_one:,} "
        f"within one grey level, {copies.num_near:,} nearly (noise, JPEG or a shift by a pixel)"
        f"{' (judged without the training images, by small descriptors)' if is_guess else ''}. "
        f"Among real images: {100 * rate:.2g} %",
        {
            "copies": count,
            "share": count / n,
            "exact": copies.num_exact,
            "within_one": copies.num_within_one,
            "near": copies.num_near,
            "expected_share": rate,
            "verified": float(copies.verified),
        },
        copies.rows,
    )


COPIED_TRAINING_IMAGES = ContentFinding(
    name="copied-training-images",
    severity="warning",
    message="images are copies of training images",
    fix="Copies score well without being new. Check first that these files are samples, not "
    "training data or reconstructions; if they are samples, the generator has memorised its data.",
    check=_check,
    cost=Cost(((0.0, 0.0),)),
)
