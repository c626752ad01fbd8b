"""Count every LLM call once: attributes to facts, facts to calls, calls to sums."""

from jobspan.model.usage.call import Call
from jobspan.model.usage.fact import AGGREGATE, LLM, UsageFact
from jobspan.model.usage.normalise import might_be_genai, normalise
from jobspan.model.usage.resolve import Resolution, resolve
from jobspan.model.usage.response import Reading, given_usage, read_response
from jobspan.model.usage.stream import StreamReading
from jobspan.model.usage.summary import UsageSummary, summarise, usage_line

__all__ = [
    "AGGREGATE",
    "LLM",
    "Call",
    "Reading",
    "Resolution",
    "StreamReading",
    "UsageFact",
    "UsageSummary",
    "given_usage",
    "might_be_genai",
    "normalise",
    "read_response",
    "resolve",
    "summarise",
    "usage_line",
]
