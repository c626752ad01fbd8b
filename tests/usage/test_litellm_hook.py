"""LiteLLM's calls are seen though nothing of jobspan but `job` is used, whenever the library is imported.

The library here is a stand-in with its two names that matter; the real one is called in tests/live.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.program import environment, run_python

LIBRARY = """
callbacks = []

def completion():
    said = {"litellm_call_id": "call-1", "model": "gpt-4o-mini", "custom_llm_provider": "openai"}
    answer = {"id": "chatcmpl-1", "usage": {"prompt_tokens": 100, "completion_tokens": 20}}
    for callback in callbacks:
        callback.log_pre_api_call("gpt-4o-mini", [], said)
        callback.log_success_event(said, answer, None, None)
"""

FIRST = "import litellm; from jobspan import client_run, flush, job"
BEHIND = "from jobspan import client_run, flush, job; import litellm"
INSIDE = "from jobspan import client_run, flush, job"
WHOLE = "import jobspan; from jobspan import *"


@pytest.mark.parametrize("imports", [FIRST, BEHIND, INSIDE, WHOLE])
def test_a_call_counts_once_in_a_program_that_names_no_integration(imports: str, tmp_path: Path) -> None:
    library = tmp_path / "site" / "litellm"
    (library / "integrations").mkdir(parents=True)
    (library / "__init__.py").write_text(LIBRARY)
    (library / "integrations" / "__init__.py").write_text("")
    (library / "integrations" / "custom_logger.py").write_text("class CustomLogger: pass")
    code = f"""
import sys
{imports}
with job("scoring"), client_run("Acme"):
    import litellm
    litellm.completion()
assert flush(10)
"""
    path = f"{environment(tmp_path)['PYTHONPATH']}:{tmp_path / 'site'}"
    done = run_python(["-c", code], tmp_path, PYTHONPATH=path, JOBSPAN_MODE="offline")
    assert done.returncode == 0, done.stderr
    listed = run_python(
        ["-c", "from jobspan.cli import main; main()", "runs", "--json"], tmp_path, JOBSPAN_MODE="offline"
    )
    (record,) = json.loads(listed.stdout)
    assert (record["prompt_tokens"], record["completion_tokens"]) == (100, 20)


def test_the_library_is_not_loaded_for_it(tmp_path: Path) -> None:
    (tmp_path / "litellm.py").write_text("raise SystemExit('loaded')")
    code = "from jobspan import job\nwith job('a'): pass"
    path = f"{environment(tmp_path)['PYTHONPATH']}:{tmp_path}"
    done = run_python(["-c", code], tmp_path, PYTHONPATH=path, JOBSPAN_MODE="offline")
    assert done.returncode == 0, done.stderr
