"""Anomaly detectors that train a network, one family a file; their rows are in
`table`.

An epoch is `table.EPOCH_IMAGES` = 6,000 images drawn from the normal ones, whatever their
number: a tenth of the train split of MNIST and Fashion-MNIST. Ten classes therefore train for the
same number of steps and can be stacked, and each run of a stack equals the single run. The option
`budget` is "published" (full lengths) or "cpu" (minutes on one core). Other options of a detector
override it.
"""
