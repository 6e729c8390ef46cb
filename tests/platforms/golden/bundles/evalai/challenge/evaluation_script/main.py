"""Score a submission; the worker's image holds the package."""


def evaluate(test_annotation_file, user_submission_file, phase_codename, **kwargs):
    from bench.platforms.evalai import evaluate as score

    return score(test_annotation_file, user_submission_file, phase_codename, **kwargs)
