"""Runs a script inside `with gpuprof.profile()`, which finds steps by itself, and keeps the insights it prints.

python gpuprof_run.py script.py ANSWER.json
"""

from __future__ import annotations

import json
import runpy
import sys
import tempfile
from pathlib import Path

import gpuprof
from gpuprof.insights import analyze

if __name__ == "__main__":
    script, answer = sys.argv[1:3]
    sys.argv = [script]
    sys.path.insert(0, str(Path(script).parent))
    with tempfile.TemporaryDirectory() as folder:
        database = str(Path(folder) / "gpuprof.db")
        with gpuprof.profile("planted", db_path=database):
            runpy.run_path(script, run_name="__main__")
        Path(answer).write_text(json.dumps(analyze(database, 1), default=str))
