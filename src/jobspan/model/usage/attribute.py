"""The names of span attributes that say what an LLM call used, in the order in which they are believed.

They are plain strings of our own: the semantic conventions moved and renamed them more than once,
and every instrumentation writes its own dialect (measured with the real packages). Names are matched
whole: a search for "token" would also find limits, token-counting requests and metadata.
"""

from __future__ import annotations

PROMPT = (
    "gen_ai.usage.input_tokens",
    "gen_ai.usage.prompt_tokens",
    "llm.token_count.prompt",
    "llm.usage.prompt_tokens",
)
COMPLETION = (
    "gen_ai.usage.output_tokens",
    "gen_ai.usage.completion_tokens",
    "llm.token_count.completion",
    "llm.usage.completion_tokens",
)
TOTAL = (
    "gen_ai.usage.total_tokens",
    "llm.usage.total_tokens",
    "llm.token_count.total",
    "mistral_ai.request.total_tokens",
)
CACHE_READ = (
    "gen_ai.usage.cache_read.input_tokens",
    "gen_ai.usage.cache_read_input_tokens",
    "gen_ai.usage.details.cache_read_tokens",
    "llm.token_count.prompt_details.cache_read",
)
CACHE_WRITE = (
    "gen_ai.usage.cache_creation.input_tokens",
    "gen_ai.usage.cache_write.input_tokens",
    "gen_ai.usage.cache_creation_input_tokens",
    "gen_ai.usage.cache_write_input_tokens",
    "gen_ai.usage.details.cache_write_tokens",
    "llm.token_count.prompt_details.cache_write",
)
REASONING = (
    "gen_ai.usage.reasoning.output_tokens",
    "gen_ai.usage.reasoning_tokens",
    "gen_ai.usage.details.reasoning_tokens",
    "llm.token_count.completion_details.reasoning",
)
COST = ("operation.cost", "llm.cost.total", "gen_ai.cost.total_cost")

OPERATION = "gen_ai.operation.name"
REQUEST_TYPE = "llm.request.type"
OPENINFERENCE_KIND = "openinference.span.kind"
TRACELOOP_KIND = "traceloop.span.kind"

AGENT_NAMES = ("gen_ai.agent.name", "agent_name")
"""Of a span that says nothing else of its kind, these say that it is an agent (pydantic-ai 1.75)."""

AGGREGATE = "jobspan.aggregate"
RESPONSE_MODEL = ("gen_ai.response.model", "llm.model_name", "embedding.model_name")
REQUEST_MODEL = "gen_ai.request.model"
PROVIDER = ("gen_ai.provider.name", "gen_ai.system", "llm.provider", "llm.system")
RESPONSE_ID = "gen_ai.response.id"
OUTPUT_VALUE = "output.value"
ERROR_TYPE = "error.type"
MANUAL = "jobspan.manual"

OWN_SCOPE = "jobspan"

AGGREGATE_OPERATIONS = frozenset(
    {
        "invoke_agent",
        "invoke_workflow",
        "create_agent",
        "execute_tool",
        "execute_task",
        "plan",
        "retrieval",
    }
)
AGGREGATE_KINDS = frozenset({"AGENT", "CHAIN", "TOOL", "RETRIEVER", "GUARDRAIL", "EVALUATOR", "PROMPT"})
AGGREGATE_TRACELOOP_KINDS = frozenset({"workflow", "task", "agent", "tool"})

CALL_OPERATIONS = frozenset(
    {
        "chat",
        "completion",
        "acompletion",
        "text_completion",
        "atext_completion",
        "generate_content",
        "responses",
        "aresponses",
        "embedding",
        "embeddings",
        "aembedding",
        "rerank",
    }
)
"""Operations and request types that say outright "this is one call of a model".

Unknown ones are read as a call when they carry usage, but never counted as a call without usage.
"""
CALL_KINDS = frozenset({"LLM", "EMBEDDING"})

CACHE_EXCLUSIVE_SCOPES = frozenset(
    {"opentelemetry.instrumentation.bedrock", "opentelemetry.instrumentation.genai.bedrock"}
)
"""Instrumentations whose prompt leaves cached tokens out (measured); it cannot be told by provider."""

KNOWN = {
    *(*PROMPT, *COMPLETION, *TOTAL, *CACHE_READ, *CACHE_WRITE, *REASONING, *COST),
    *(*RESPONSE_MODEL, REQUEST_MODEL, *PROVIDER, RESPONSE_ID, OUTPUT_VALUE, ERROR_TYPE),
    *(OPERATION, REQUEST_TYPE, OPENINFERENCE_KIND, TRACELOOP_KIND, *AGENT_NAMES, MANUAL, AGGREGATE),
}
"""All names that are read. A plain set: of it and the names of a span the smaller one is looked through."""

MARKERS = frozenset({*PROMPT, *COMPLETION, *TOTAL, OPERATION, REQUEST_TYPE, OPENINFERENCE_KIND})
"""A span that has none of these names is no GenAI span."""
