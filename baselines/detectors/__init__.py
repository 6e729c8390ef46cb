"""Anomaly detectors that train a network, one family a file.

An epoch is `engine_fits.EPOCH_IMAGES` = 6,000 images drawn from the normal ones, whatever their
number: a tenth of the train split of MNIST and Fashion-MNIST. So ten classes train for equally many
steps and can be stacked, and a stack's run equals the single one. Option `budget` is "published"
(full lengths) or "cpu" (minutes on one core); a detector's other options stand above either.
"""
