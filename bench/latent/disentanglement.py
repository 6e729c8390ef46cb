"""Disentanglement: how far each code stands for one known factor, and each factor for one code.

Data with known factors are needed (`bench.data.factors`). A factor has levels 0..L-1; an ordered
one (position, scale) is also used as a number, a categorical one (class) is not. Codes that do not
vary are left out of every score.

    MIG          I(c; v) of codes in 20 bins of equal width between their extremes, in nats; per
                 factor the largest minus the second largest, over the entropy of the factor; mean
                 over factors (Chen et al. 2018)
    modularity   per code 1 - sum_{j != j*} I_j^2 / (I_j*^2 (F - 1)) with the factor j* of largest
                 I; mean over codes (Ridgeway & Mozer 2018)
    SAP          per factor the score of the best code minus that of the second best; mean over
                 factors (Kumar et al. 2018). Ordered: squared correlation. Categorical: balanced
                 accuracy of thresholds midway between the class means, b, on the half of the
                 images that the means do not come from, as (b - 1/L) / (1 - 1/L)
    FactorVAE    accuracy of a majority vote from the code of least variance, over its variance in
                 all images, to the factor that 64 images share; 800 votes to learn from, 800 to
                 judge (Kim & Mnih 2018)
    DCI          from importances R (D codes x F factors): disentanglement, the sum over codes of
                 rho_i (1 - H_F(R_i)), where rho_i is the code's share of all importance;
                 completeness, the mean over factors of 1 - H_D(R_j); informativeness, the mean over
                 factors of R^2 (categorical: accuracy) on held-out images, at least 0 (Eastwood &
                 Williams 2018). H_F and H_D have logarithms to base F and D.
                 Boosting: impurity importances of 50 stages of trees of depth 3 at rate 0.2, which
                 sum to 1 per factor, on at most 2,000 images.
                 Lasso: |coefficients| of standardised ordered factors on standardised codes, at
                 penalty 0.01.

Shape legend: N images, D codes, F factors, L levels, K classes, B bins.
"""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bench.data.factors import CATEGORICAL
from bench.latent.context import Context
from bench.latent.values import Absent, LatentMeasure, LatentValue, Measured, attempt
from bench.statistics.intervals import Uncertainty, wilson

NUM_BINS = 20
GROUP_IMAGES = 64  # that share a factor, for one vote of the FactorVAE score
NUM_VOTES = 800  # to learn from, and again to judge
BOOSTING_IMAGES = 2_000
BOOSTING_STAGES, BOOSTING_RATE, BOOSTING_DEPTH = 50, 0.2, 3
MAX_BOOSTING_CODES = 128
LASSO_PENALTY = 0.01
MIN_IMAGES = 200


def _row(name: str, title: str, definition: str, source: str) -> LatentMeasure:
    return LatentMeasure(
        name=name,
        group="disentanglement",
        title=title,
        definition=f"{definition}; codes that do not vary are left out",
        source=source,
        best="higher",
        needs=frozenset({"encoder", "factors"}),
        low=0.0,
        high=1.0,
    )


MIG = _row(
    "mig",
    "MIG",
    "largest less second largest mutual information of a factor with a code in 20 bins of equal "
    "width, over the factor's entropy; mean over factors",
    "Chen et al. 2018",
)
MODULARITY = _row(
    "modularity",
    "modularity",
    "1 - sum of squared mutual information with all but the best factor, over the best one's "
    "square times (F - 1); 20 bins; mean over codes",
    "Ridgeway & Mozer 2018",
)
SAP = _row(
    "sap",
    "SAP",
    "best less second best code of a factor; ordered factors: squared correlation; categorical: "
    "held-out balanced accuracy of thresholds between class means, above chance; mean over factors",
    "Kumar et al. 2018",
)
FACTOR_VAE = _row(
    "factor_vae",
    "FactorVAE score",
    f"accuracy of a majority vote from the code of least relative variance in {GROUP_IMAGES} "
    f"images to the factor that they share; {NUM_VOTES} votes to learn from, {NUM_VOTES} to judge",
    "Kim & Mnih 2018",
)
BOOSTING = (
    f"gradient boosting ({BOOSTING_STAGES} stages, depth {BOOSTING_DEPTH}, rate {BOOSTING_RATE}, "
    f"at most {BOOSTING_IMAGES} images; regression of ordered factors, classification of others)"
)
LASSO = f"Lasso of ordered factors, all standardised, penalty {LASSO_PENALTY}"
EASTWOOD = "Eastwood & Williams 2018"


def _dci_rows(variant: str, how: str) -> tuple[LatentMeasure, ...]:
    return (
        _row(
            f"dci_disentanglement_{variant}",
            f"DCI disentanglement, {variant}",
            f"1 - entropy (base F) of a code's importances for factors, weighted by them; {how}",
            EASTWOOD,
        ),
        _row(
            f"dci_completeness_{variant}",
            f"DCI completeness, {variant}",
            f"1 - entropy (base D) of a factor's importances of codes, mean over factors; {how}",
            EASTWOOD,
        ),
        _row(
            f"dci_informativeness_{variant}",
            f"DCI informativeness, {variant}",
            f"R^2 (categorical: accuracy) on held-out images, mean over factors; {how}",
            EASTWOOD,
        ),
    )


DCI_BOOSTING = _dci_rows("boosting", BOOSTING)
DCI_LASSO = _dci_rows("lasso", LASSO)
MEASURES = (MIG, *DCI_BOOSTING, *DCI_LASSO, SAP, FACTOR_VAE, MODULARITY)

Codes = NDArray[np.float32]
Floats = NDArray[np.float64]


class Factors(NamedTuple):
    """Known factors of N images: `levels` int64 N,F, the names, and which factors are ordered."""

    levels: NDArray[np.int64]
    names: tuple[str, ...]
    ordered: tuple[bool, ...]


class Information(NamedTuple):
    """Mutual information of codes and factors D,F and the entropies of the factors F, in nats."""

    shared: Floats
    entropies: Floats


class DCI(NamedTuple):
    """Disentanglement, completeness and informativeness, with the importances D,F behind them."""

    disentanglement: float
    completeness: float
    informativeness: float
    importances: Floats


def varying_codes(codes: Codes) -> Codes:
    """Return the codes that vary. Raises `Absent` for fewer than two, and for too few images."""
    if len(codes) < MIN_IMAGES:
        raise Absent(f"{len(codes)} images; the score needs at least {MIN_IMAGES}")
    if not np.isfinite(codes).all():
        raise Absent("codes are NaN or infinite")
    moving = np.ptp(codes, axis=0) > 0
    if moving.sum() < 2:
        raise Absent(
            f"{int(moving.sum())} of {codes.shape[1]} codes vary over the images; "
            "a comparison of codes needs two"
        )
    return codes[:, moving]


def mutual_information(codes: Codes, factors: Factors) -> Information:
    """Return the mutual information of every code, in 20 bins of equal width, with every factor.

    The plug-in estimate: about (B - 1)(L - 1) / 2N nats too high for a code that says nothing.

    >>> levels = np.arange(400)[:, None] % 4
    >>> codes = np.concatenate([levels, np.arange(400)[:, None] // 4 % 2], axis=1)
    >>> factors = Factors(levels, ("kind",), (True,))
    >>> mutual_information(codes.astype(np.float32), factors).shared.round(4).ravel().tolist()
    [1.3863, 0.0]
    """
    codes = varying_codes(codes)
    num, dim = codes.shape
    low, high = codes.min(axis=0).astype(np.float64), codes.max(axis=0).astype(np.float64)
    binned = ((codes - low) / (high - low) * NUM_BINS).astype(np.int64).clip(0, NUM_BINS - 1)
    binned += np.arange(dim) * NUM_BINS
    shared, entropies = np.empty((dim, factors.levels.shape[1])), []
    for column, levels in enumerate(factors.levels.T):
        count = int(levels.max()) + 1
        joint = np.bincount(
            (binned * count + levels[:, None]).ravel(), minlength=dim * NUM_BINS * count
        ).reshape(dim, NUM_BINS, count)
        entropy = _entropy(joint.sum(axis=1)[0] / num)
        of_code = _entropy(joint.sum(axis=2) / num)
        shared[:, column] = of_code + entropy - _entropy(joint.reshape(dim, -1) / num)
        entropies.append(float(entropy))
    if min(entropies) <= 0:
        raise Absent("a factor has the same level in all images")
    return Information(np.maximum(shared, 0), np.array(entropies))


def _entropy(shares: Floats) -> Floats:
    """Return the entropy along the last axis, in nats."""
    safe = np.where(shares > 0, shares, 1.0)
    entropy: Floats = -(safe * np.log(safe)).sum(axis=-1)
    return entropy


def _mean_gap(scores_DF: Floats) -> float:
    """Return the best minus the second best code of each factor, averaged."""
    best = np.sort(scores_DF, axis=0)[-2:]
    return float((best[1] - best[0]).mean())


def mig(information: Information) -> float:
    """Return the mutual information gap (Chen et al. 2018).

    >>> round(mig(Information(np.array([[0.6, 0.0], [0.2, 0.3]]), np.array([0.8, 0.6]))), 12)
    0.5
    """
    return _mean_gap(information.shared / information.entropies)


def modularity(information: Information) -> float:
    """Return the modularity (Ridgeway & Mozer 2018) of the codes that say something.

    >>> modularity(Information(np.array([[0.6, 0.0], [0.2, 0.4]]), np.array([0.8, 0.6])))
    0.875
    """
    squares = np.sort(information.shared, axis=1) ** 2
    squares = squares[squares[:, -1] > 0]
    num_factors = squares.shape[1]
    if not len(squares):
        raise Absent("no code shares information with a factor")
    if num_factors < 2:
        raise Absent("modularity needs at least two factors")
    spread = squares[:, :-1].sum(axis=1) / (squares[:, -1] * (num_factors - 1))
    return float((1 - spread).mean())


def sap(codes: Codes, factors: Factors, *, seed: int = 0) -> float:
    """Return the separated attribute predictability (Kumar et al. 2018)."""
    codes = varying_codes(codes)
    scores = np.empty((codes.shape[1], len(factors.names)))
    z = _standardised(codes.astype(np.float64))
    for column, (levels, ordered) in enumerate(zip(factors.levels.T, factors.ordered, strict=True)):
        if ordered:
            v = _standardised(levels.astype(np.float64)[:, None])
            scores[:, column] = ((z * v).mean(axis=0)) ** 2
        else:
            scores[:, column] = _threshold_scores(codes, levels, seed)
    return _mean_gap(scores)


def _standardised(values: Floats) -> Floats:
    spread = values.std(axis=0)
    if not spread.all():
        raise Absent("a code or factor does not vary")
    standardised: Floats = (values - values.mean(axis=0)) / spread
    return standardised


def _threshold_scores(codes: Codes, levels: NDArray[np.int64], seed: int) -> Floats:
    """Return for each code the balanced accuracy above chance of thresholds between class means."""
    train, test = halves(len(codes), seed)
    num = int(levels.max()) + 1
    counts = np.bincount(levels[train], minlength=num)
    present = np.flatnonzero(counts)
    found = np.empty(codes.shape[1])
    judged = levels[test]
    for d, column in enumerate(codes.T.astype(np.float64)):
        means = np.bincount(levels[train], column[train], minlength=num)[present] / counts[present]
        order = np.argsort(means, kind="stable")
        middle = (means[order][1:] + means[order][:-1]) / 2
        predicted = present[order][np.searchsorted(middle, column[test])]
        right = np.bincount(judged[predicted == judged], minlength=num)
        total = np.bincount(judged, minlength=num)
        found[d] = (right[total > 0] / total[total > 0]).mean()
    return np.maximum((found - 1 / len(present)) / (1 - 1 / len(present)), 0)


def halves(num: int, seed: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the rows of two random halves of `num` rows, each ascending."""
    order = np.random.default_rng(seed).permutation(num)
    return np.sort(order[: num // 2]), np.sort(order[num // 2 :])


def factor_vae(codes: Codes, factors: Factors, *, seed: int = 0) -> Uncertainty:
    """Return the FactorVAE score (Kim & Mnih 2018) with Wilson's interval over the votes."""
    codes = varying_codes(codes)
    rng = np.random.default_rng(seed)
    num_factors = len(factors.names)
    scaled = codes / codes.std(axis=0, dtype=np.float64)
    rows = [
        [np.flatnonzero(levels == level) for level in np.unique(levels)]
        for levels in factors.levels.T
    ]
    chosen = rng.integers(0, num_factors, 2 * NUM_VOTES)
    winners = np.empty(len(chosen), np.int64)
    for vote, factor in enumerate(chosen):
        members = rows[factor][rng.integers(0, len(rows[factor]))]
        group = members[rng.integers(0, len(members), GROUP_IMAGES)]
        winners[vote] = scaled[group].var(axis=0).argmin()
    votes = np.zeros((codes.shape[1], num_factors), np.int64)
    np.add.at(votes, (winners[:NUM_VOTES], chosen[:NUM_VOTES]), 1)
    right = votes.argmax(axis=1)[winners[NUM_VOTES:]] == chosen[NUM_VOTES:]
    return wilson(float(right.sum()), NUM_VOTES)


def dci_from_importances(importances: Floats, informativeness: float) -> DCI:
    """Return DCI of importances D,F (Eastwood & Williams 2018). Raises `Absent` if all are 0.

    >>> found = dci_from_importances(np.array([[2.0, 0], [0, 1.0], [0, 1.0]]), 0.9)
    >>> found.disentanglement, round(found.completeness, 6)  # second factor: 1 - log_3 2
    (1.0, 0.684535)
    """
    dim, num = importances.shape
    if dim < 2 or num < 2:
        raise Absent(f"DCI of {dim} codes and {num} factors needs at least two of both")
    total = importances.sum()
    if total <= 0:
        raise Absent("no code has any importance for a factor")
    of_codes, of_factors = importances.sum(axis=1), importances.sum(axis=0)
    used = of_codes > 0
    rows = importances[used] / of_codes[used][:, None]
    disentangled = 1 - _entropy(rows) / np.log(num)
    columns = importances / np.where(of_factors > 0, of_factors, 1)
    complete = np.where(of_factors > 0, 1 - _entropy(columns.T) / np.log(dim), 0)
    weighted = float((of_codes[used] / total * disentangled).sum())
    return DCI(weighted, float(complete.mean()), informativeness, importances)


def dci_lasso(codes: Codes, factors: Factors, *, seed: int = 0) -> DCI:
    """Return DCI with |coefficients| of a Lasso of every ordered factor, fitted to half of the
    images.
    """
    from sklearn.exceptions import ConvergenceWarning  # type: ignore[import-untyped]
    from sklearn.linear_model import Lasso  # type: ignore[import-untyped]

    z = _standardised(varying_codes(codes).astype(np.float64))
    train, test = halves(len(z), seed)
    importances, informed = [], []
    for levels, ordered in zip(factors.levels.T, factors.ordered, strict=True):
        if not ordered:
            continue
        v = _standardised(levels.astype(np.float64)[:, None])[:, 0]
        with warnings.catch_warnings():
            # a duality gap left after 1,000 rounds changes coefficients in the fourth digit
            warnings.simplefilter("ignore", ConvergenceWarning)
            model = Lasso(LASSO_PENALTY, precompute=True, tol=1e-3).fit(z[train], v[train])
        importances.append(np.abs(model.coef_))
        informed.append(_r2(v[test], model.predict(z[test])))
    return dci_from_importances(np.array(importances).T, float(np.mean(informed)))


def dci_boosting(codes: Codes, factors: Factors, *, seed: int = 0) -> DCI:
    """Return DCI with the importances of gradient boosting, fitted to at most 2,000 images and
    judged on the others. Raises `Absent` for more than 128 codes, which would take minutes.
    """
    from sklearn.ensemble import (  # type: ignore[import-untyped]
        GradientBoostingClassifier,
        GradientBoostingRegressor,
    )

    codes = varying_codes(codes)
    if codes.shape[1] > MAX_BOOSTING_CODES:
        raise Absent(
            f"{codes.shape[1]} codes vary; boosting is computed for at most {MAX_BOOSTING_CODES}"
        )
    order = np.random.default_rng(seed).permutation(len(codes))
    num = min(BOOSTING_IMAGES, len(codes) // 2)
    train, test = order[:num], order[num : num + BOOSTING_IMAGES]
    importances, informed = [], []
    for levels, ordered in zip(factors.levels.T, factors.ordered, strict=True):
        kind = GradientBoostingRegressor if ordered else GradientBoostingClassifier
        model = kind(
            n_estimators=BOOSTING_STAGES,
            learning_rate=BOOSTING_RATE,
            max_depth=BOOSTING_DEPTH,
            random_state=0,
        ).fit(codes[train], levels[train])
        importances.append(model.feature_importances_)
        predicted = model.predict(codes[test])
        informed.append(
            _r2(levels[test].astype(np.float64), predicted)
            if ordered
            else float((predicted == levels[test]).mean())
        )
    return dci_from_importances(np.array(importances).T, float(np.mean(informed)))


def _r2(truth: Floats, predicted: Floats) -> float:
    """Return the coefficient of determination, at least 0."""
    rest = ((truth - predicted) ** 2).sum()
    return max(0.0, float(1 - rest / ((truth - truth.mean()) ** 2).sum()))


def measure_disentanglement(context: Context) -> list[LatentValue]:
    """Return every value of this group, on the held-out images; they need known factors."""
    data, seed = context.data, context.seed

    @functools.cache
    def prepared() -> tuple[Codes, Factors]:
        levels = data.test.factors
        if levels is None:
            raise Absent(f"the factors of {data.name} are not known; --data factors has them")
        names = tuple(data.factor_names)
        ordered = tuple(name not in CATEGORICAL for name in names)
        return context.free_test_codes, Factors(levels, names, ordered)

    @functools.cache
    def information() -> Information:
        return mutual_information(*prepared())

    @functools.cache
    def dci(kind: Callable[..., DCI]) -> DCI:
        return kind(*prepared(), seed=seed)

    def counted(value: Callable[[], float | Uncertainty]) -> Callable[[], Measured]:
        return lambda: Measured(value(), len(prepared()[0]))

    return [
        attempt(MIG, counted(lambda: mig(information())), seed=seed),
        *(
            attempt(row, counted(functools.partial(_part, dci, kind, place)), seed=seed)
            for kind, rows in ((dci_boosting, DCI_BOOSTING), (dci_lasso, DCI_LASSO))
            for place, row in enumerate(rows)
        ),
        attempt(SAP, counted(lambda: sap(*prepared(), seed=seed)), seed=seed),
        attempt(FACTOR_VAE, counted(lambda: factor_vae(*prepared(), seed=seed)), seed=seed),
        attempt(MODULARITY, counted(lambda: modularity(information())), seed=seed),
    ]


def _part(dci: Callable[[Callable[..., DCI]], DCI], kind: Callable[..., DCI], place: int) -> float:
    return float(dci(kind)[place])
