"""One exact distance pass that serves every nearest-neighbour metric.

Squared distances come from tiles of one matrix product, `[-2x, 1, |x|^2] . [y, |y|^2, 1]`, of
centred features. The rounding of float32 products has the size of the norms, but it decides
nothing: a tile holds a **lower bound** of each squared distance. Whatever the bound leaves open is
decided by the distance itself, which is the float64 sum of squared differences of the original
rows, with its root rounded to float32. Neighbours, ball membership and counts therefore do not
depend on tiles, order, device or centring. Two distances that are equal in float32 are a tie, and
ties go to the lower index. A tile that leaves too much open (many near-duplicates far from the
mean) is computed again in float64. Exact duplicates are collapsed first and counted by
multiplicity.

Memory is O(N D) plus a tile; an N x N matrix never exists.

Each file imports only those above it:

    results   the results, which load without torch
    distinct  the distinct rows of a set, and results among those -> among all rows
    bounds    rounding of a product, exact distances, the k nearest found so far
    balls     which points lie in which balls, and realism
    scan      one pass over the tiles of two sets
    search    the two functions that metrics and references call
"""
