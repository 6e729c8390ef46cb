"""Score a submission: the competition Space calls `compute(params)`."""

import json
import os
import shutil
import subprocess
import tempfile

from huggingface_hub import hf_hub_download

FILES = ["settings.json"]  # settings.json, and what it names
TIME_LIMIT_S = 600


def compute(params):
    def fetch(name, folder, target):
        path = hf_hub_download(
            repo_id=params.competition_id, filename=name, token=params.token, repo_type="dataset"
        )
        copy = os.path.join(folder, target)
        shutil.copyfile(path, copy)
        return copy

    with tempfile.TemporaryDirectory() as folder:
        for name in FILES:
            fetch(name, folder, name)
        archive = f"submissions/{params.team_id}-{params.submission_id}.zip"
        submission = fetch(archive, folder, "submission.zip")
        result = os.path.join(folder, "result.json")
        settings = os.path.join(folder, "settings.json")
        python = os.environ["LATENTBENCH_PYTHON"]
        program = [python, "-m", "bench.platforms.huggingface", settings, submission, result]
        code = subprocess.run(program, timeout=TIME_LIMIT_S, check=False).returncode
        if not os.path.exists(result):
            raise RuntimeError(f"the scoring stopped with exit code {code}")
        with open(result, encoding="utf-8") as file:
            found = json.load(file)
    print(found["text"])
    if code != 0:
        raise ValueError(found["text"])
    return {"public_score": found["scores"], "private_score": dict(found["scores"])}
