"""Scoring: from a submission to a record, a value for every metric with its interval.

`Scorer.score` runs these steps in order. Each file imports those above it only.

    settings.py             `ScoreSettings`: what is compared, computed and cached, checked
    target.py               the reference and the extractor; neither is loaded yet
    result_cache.py         `Reading`: the path of a submission, and how its images are read;
                            `ResultCache`: if this path was scored before, its images are read and
                            digested, and the cached record is returned when the digest is the same
    content_cache.py        what the pixels are like, observed while images are read; from it and
                            the reference, the findings about content
    submission_features.py  otherwise images are decoded once, in blocks, and every block goes to
                            the audit, to the content observer and to the extractors; the features
                            are cached
    evaluate.py             metrics on the features against the reference; a value or a reason each
    scorer.py               `Scorer`, which calls the above and assembles the `ScoreRecord`

Aside from that path:

    detector_choice.py      the detector named for `anomaly_auc`, and how its scores are identified
    detector_scores.py      that detector, fitted to the reference
    results_folder.py       the records and pictures of a submission, written to a folder
    report_pictures.py      pictures for a report page, from the features of a scored submission
    content_audit.py        findings about content without a score (`latentbench audit --content`)
"""
