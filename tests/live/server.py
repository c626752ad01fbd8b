"""A loopback provider: answers like OpenAI, Anthropic and Gemini with canned usage; logs its bills."""

from __future__ import annotations

import itertools
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Billed = list[tuple[int, int]]


class Provider(ThreadingHTTPServer):
    """Bills 100 tokens in and 20 out and some more for each further call, so that no two are alike."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Answer)
        self.billed: Billed = []
        self.refuse_next = 0
        self.numbers = itertools.count()
        self.lock = threading.Lock()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def bill(self, *, out: int = 20) -> tuple[int, int, int]:
        """Return (number of the call, tokens in, tokens out), billed."""
        with self.lock:
            number = next(self.numbers)
            used = (100 + number, out + (number if out else 0))
            self.billed.append(used)
        return number, *used

    @property
    def total(self) -> tuple[int, int]:
        return sum(used[0] for used in self.billed), sum(used[1] for used in self.billed)


class _Answer(BaseHTTPRequestHandler):
    server: Provider
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"] or 0)) or b"{}")
        path = self.path.partition("?")[0]
        if self.server.refuse_next:
            self.server.refuse_next -= 1
            self._send({"error": {"message": "overloaded", "type": "server_error"}}, 503)
        elif path.endswith("/chat/completions"):
            self._chat(body)
        elif path.endswith("/responses"):
            self._responses(body)
        elif path.endswith("/embeddings"):
            _, used, _ = self.server.bill(out=0)
            data = [{"object": "embedding", "index": 0, "embedding": [0.1, 0.2]}]
            usage = {"prompt_tokens": used, "total_tokens": used}
            self._send({"object": "list", "data": data, "model": body["model"], "usage": usage})
        elif path.endswith("/messages"):
            self._messages(body)
        elif ":streamGenerateContent" in path:
            self._events([json.dumps(part) for part in self._gemini_parts(body)], end=None)
        elif ":generateContent" in path:
            self._send(list(self._gemini_parts(body))[-1])
        elif ":batchEmbedContents" in path:  # Gemini's API bills embeddings and does not say how much
            self._send({"embeddings": [{"values": [0.1, 0.2]}]})
        else:
            self._send({"error": {"message": f"no {path}"}}, 404)

    # --- OpenAI

    def _chat(self, body: dict[str, Any]) -> None:
        number, prompt, completion = self.server.bill()
        head = {
            "id": f"chatcmpl-live-000000000000{number:06}",
            "created": 1_780_000_000,
            "model": body["model"],
        }
        usage = {
            "prompt_tokens": prompt,
            "completion_tokens": completion,
            "total_tokens": prompt + completion,
        }
        if not body.get("stream"):
            message: dict[str, Any] = {"role": "assistant", "content": "hello"}
            reason = "stop"
            if body.get("tools") and body["messages"][-1]["role"] != "tool":
                call = {"id": "call_1", "type": "function", "function": {"name": "look", "arguments": "{}"}}
                message, reason = {"role": "assistant", "content": None, "tool_calls": [call]}, "tool_calls"
            choices = [{"index": 0, "message": message, "finish_reason": reason}]
            self._send({**head, "object": "chat.completion", "choices": choices, "usage": usage})
            return
        chunk = {**head, "object": "chat.completion.chunk"}
        told = (body.get("stream_options") or {}).get("include_usage")
        parts: list[dict[str, Any]] = [
            {
                **chunk,
                "choices": [
                    {"index": 0, "delta": {"role": "assistant", "content": text}, "finish_reason": None}
                ],
            }
            for text in ("hel", "lo")
        ]
        parts.append({**chunk, "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
        if told:
            parts.append({**chunk, "choices": [], "usage": usage})
        self._events(map(json.dumps, parts), end="[DONE]")

    def _responses(self, body: dict[str, Any]) -> None:
        number, prompt, completion = self.server.bill()
        text = {"type": "output_text", "text": "hello", "annotations": []}
        item = {"id": f"msg_{number:024}", "type": "message", "role": "assistant", "status": "completed"}
        whole = {
            "id": f"resp_live{number:024}",
            "object": "response",
            "created_at": 1_780_000_000,
            "model": body["model"],
            "status": "completed",
            "parallel_tool_calls": True,
            "tool_choice": "auto",
            "tools": [],
            "output": [{**item, "content": [text]}],
            "usage": {
                "input_tokens": prompt,
                "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
                "output_tokens": completion,
                "output_tokens_details": {"reasoning_tokens": 0},
                "total_tokens": prompt + completion,
            },
        }
        if not body.get("stream"):
            self._send(whole)
            return
        begun = {**whole, "status": "in_progress", "output": [], "usage": None}
        events = [
            {"type": "response.created", "sequence_number": 0, "response": begun},
            {"type": "response.completed", "sequence_number": 1, "response": whole},
        ]
        self._events(map(json.dumps, events), end=None)

    # --- Anthropic

    def _messages(self, body: dict[str, Any]) -> None:
        number, prompt, completion = self.server.bill()
        message: dict[str, Any] = {
            "id": f"msg_live{number:020}",
            "type": "message",
            "role": "assistant",
            "model": body["model"],
            "content": [{"type": "text", "text": "hello"}],
            "stop_reason": "end_turn",
            "stop_sequence": None,
            "usage": {
                "input_tokens": prompt - 60,
                "cache_read_input_tokens": 50,
                "cache_creation_input_tokens": 10,
            }
            | {"output_tokens": completion},
        }
        if body.get("tools") and isinstance(body["messages"][-1]["content"], str):
            message["content"] = [{"type": "tool_use", "id": "toolu_1", "name": "look", "input": {}}]
            message["stop_reason"] = "tool_use"
        if not body.get("stream"):
            self._send(message)
            return
        usage = {**message["usage"], "output_tokens": 1}
        events: list[dict[str, Any]] = [
            {
                "type": "message_start",
                "message": {**message, "content": [], "stop_reason": None, "usage": usage},
            },
            {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
            {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "hello"}},
            {"type": "content_block_stop", "index": 0},
            {
                "type": "message_delta",
                "delta": {"stop_reason": "end_turn", "stop_sequence": None},
                "usage": {"output_tokens": completion},
            },
            {"type": "message_stop"},
        ]
        self._events(((e["type"], json.dumps(e)) for e in events), end=None)

    # --- Gemini

    def _gemini_parts(self, body: dict[str, Any]) -> Iterator[dict[str, Any]]:
        number, prompt, completion = self.server.bill()
        usage = {"promptTokenCount": prompt, "candidatesTokenCount": completion - 5, "thoughtsTokenCount": 5}
        part: dict[str, Any] = {"text": "hello"}
        if body.get("tools") and len(body["contents"]) == 1:
            part = {"functionCall": {"name": "look", "args": {}}}
        content = {"role": "model", "parts": [part]}
        for last in (False, True):
            candidate = {"content": content, "index": 0, **({"finishReason": "STOP"} if last else {})}
            counts = {**usage, "totalTokenCount": prompt + completion}
            yield {
                "candidates": [candidate],
                "modelVersion": "gemini-2.5-flash",
                "responseId": f"live-gemini-000000000{number:06}",
                "usageMetadata": counts if last else {"promptTokenCount": prompt, "totalTokenCount": prompt},
            }

    # --- sending

    def _send(self, answer: object, status: int = 200) -> None:
        data = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def _events(self, events: Any, *, end: str | None) -> None:
        text = ""
        for event in events:
            kind, data = event if isinstance(event, tuple) else ("", event)
            text += (f"event: {kind}\n" if kind else "") + f"data: {data}\n\n"
        text += f"data: {end}\n\n" if end else ""
        data = text.encode()
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: object) -> None:
        pass


@contextmanager
def provider() -> Iterator[Provider]:
    """Run a provider on a free port of this machine."""
    server = Provider()
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
