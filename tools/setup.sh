#!/usr/bin/env bash
# Makes .venv and what it needs: tools/setup.sh [--extra NAME] [--group NAME]
#
# First choice: uv and uv.lock, exactly. Where PyTorch's index or GitHub cannot be reached, pip installs the same
# versions from the ordinary package index. A second run does nothing until uv.lock, pyproject.toml or this file changes.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

say() { printf 'setup: %s\n' "$*" >&2; }
die() { say "$*"; exit 1; }

# Runs a command without its chatter; a failure shows the end of it.
quietly() { "$@" >"$scratch/log" 2>&1 || { tail -n 30 "$scratch/log" >&2; die "failed: $*"; }; }

pip_install() { quietly .venv/bin/python -m pip install "$@"; }

need_venv_with_pip() {
    .venv/bin/python -m pip --version >/dev/null 2>&1 && return
    local python
    for python in python3 python3.13 python3.12 python3.11; do
        if "$python" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null; then
            say "making .venv with $("$python" --version)"
            "$python" -m venv --clear .venv || die "cannot make .venv (Debian, Ubuntu: sudo apt install python3-venv)"
            return
        fi
    done
    die "Python 3.11, 3.12 or 3.13 is needed (or uv on PATH, which brings its own)"
}

# Sets `uv`: the one on PATH, or the locked version installed into .venv.
need_uv() {
    uv=$(command -v uv) && return
    uv=.venv/bin/uv
    local version
    version=$(sed -n '/^name = "uv"$/{n;s/^version = "\(.*\)"$/\1/p;}' uv.lock)
    need_venv_with_pip
    [ "$("$uv" --version 2>/dev/null | cut -d' ' -f2)" = "$version" ] || pip_install "uv==$version"
}

install_with_uv() { # options of uv sync
    UV_PROJECT_ENVIRONMENT=.venv "$uv" sync --frozen --inexact "$@" >"$scratch/log" 2>&1
}

install_with_pip() { # the same options
    local pins=$scratch/pins.txt torch=$scratch/torch.txt
    need_venv_with_pip
    .venv/bin/python tools/pins.py --uv "$uv" --ordinary-index "$@" >"$scratch/all.txt"
    grep -v '^torch==' "$scratch/all.txt" >"$pins"
    grep '^torch==' "$scratch/all.txt" >"$torch"
    pip_install --no-deps -r "$pins"
    pip_install -r "$torch" # with its dependencies, which are not the same for every build of it
    pip_install --no-deps -e .
    drop_cuda_libraries
}

# torchaudio's libraries from the ordinary index want CUDA; its Python parts, all that is used, work without them.
drop_cuda_libraries() {
    quietly .venv/bin/python - <<'PYTHON'
import sys
from importlib.util import find_spec
from pathlib import Path

import torch

if sys.platform == "linux" and torch.version.cuda is None:
    for library in Path(find_spec("torchaudio").origin).parent.glob("lib/*.so"):
        library.unlink()
PYTHON
}

# What is faster compiled; without a compiler torch computes it.
make_kernels() {
    say "kernels: $(.venv/bin/python asr_core/model/kernels/compiled.py)"
}

main() {
    local stamp wanted
    stamp=".venv/.ready$(printf '%s' "$@")"
    wanted=$(cat uv.lock pyproject.toml tools/setup.sh tools/pins.py asr_core/model/kernels/{fused.cpp,compiled.py} | cksum)
    [ "$(cat "$stamp" 2>/dev/null)" != "$wanted" ] || return 0

    need_uv
    say "installing into .venv what uv.lock lists"
    if install_with_uv "$@"; then
        say "done, with uv"
    else
        say "uv could not ($(grep -m1 'Failed to' "$scratch/log" || head -n 1 "$scratch/log")); pip installs the same versions"
        install_with_pip "$@"
        say "done, with pip"
    fi
    quietly .venv/bin/python -c 'import bentoml, gigaam, silero_vad, torch, torchaudio'
    make_kernels
    echo "$wanted" >"$stamp"
}

main "$@"
