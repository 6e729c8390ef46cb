"""Score on a course platform: bundles to upload, and what runs there.

settings     what a bundle scores against, and which values become columns
outcome      one submission scored on a platform: columns, sentences, or a reason
wheel        this package as a wheel, which every bundle carries
bundle       the files of a bundle, and the folder and archive that they become
platforms    the table of platforms
codabench, gradescope, evalai, huggingface
             a platform each: the files of its bundle, and the program that it runs
evalai_worker
             the remote worker of EvalAI: fetches submissions, sends results
github       the GitHub action: summary, annotations, outputs
"""
