#!/usr/bin/env bash
# Installs the scoring while Gradescope builds its image; scoring itself needs no network.
set -euo pipefail
source=${AUTOGRADER_ROOT:-/autograder}/source
venv=${AUTOGRADER_ROOT:-/autograder}/venv
if ! command -v pip3 > /dev/null; then
  apt-get update && apt-get install -y --no-install-recommends python3-pip
fi
pip3 install uv || pip3 install --break-system-packages uv
python3 -m uv venv --python 3.12 "$venv"
python3 -m uv pip install --python "$venv/bin/python" --no-cache --torch-backend cpu \
  torch torchvision "$source/latentbench-0-py3-none-any.whl"
