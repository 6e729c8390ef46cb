"""Measures of a latent space, on arrays and callables; no training code.

values       what a measure is; a value, or the reason why there is none
space        what a model offers, the checks of it; pixels and PCA as spaces
data         labelled images, their features, a classifier
context      one space on one data set: the codes that several groups share
GROUP        pure functions on arrays, the rows of their measures, and `measure_GROUP(context)`
measures     the table of all measures
evaluate     all groups in one call, and the record of it
"""
