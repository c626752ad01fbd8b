"""Tokens and costs of LLM calls, per client; with an instrumentation installed each call still counts once.

Run: OPENAI_BASE_URL=http://localhost:11434/v1 python 05_llm_tokens.py
"""

import json
import os
import urllib.request

import jobspan
from jobspan import record_usage, track_stream

URL = os.environ.get("OPENAI_BASE_URL", "http://localhost:11434/v1") + "/chat/completions"


def ask(text, **options):
    body = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": text}], **options}
    header = {"Content-Type": "application/json"}
    return urllib.request.urlopen(urllib.request.Request(URL, json.dumps(body).encode(), header))


def streamed(text):
    for line in ask(text, stream=True, stream_options={"include_usage": True}):
        if line.startswith(b"data: {"):
            yield json.loads(line[6:])


with jobspan.job("lead_scoring") as job:
    for run in job.clients(["Guy-Wilson", "Acme"]):
        with run:
            record_usage(json.load(ask("score the leads")))  # or once: jobspan.instrument(OpenAI())
            for _ in track_stream(streamed("and say why")):
                pass
print(f"recorded as {job.run_id}; now try: jobspan usage --by client")
