"""Count every LLM call once: attributes to facts, facts to calls, calls to sums."""

from jobspan.model.usage.call import Call
from jobspan.model.usage.fact import AGGREGATE, LLM, UsageFact
from jobspan.model.usage.normalise import might_be_genai, normalise
from jobspan.model.usage.resolve import Resolution, resolve

__all__ = ["AGGREGATE", "LLM", "Call", "Resolution", "UsageFact", "might_be_genai", "normalise", "resolve"]
