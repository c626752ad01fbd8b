"""Count every LLM call once: attributes to facts, facts to calls, calls to sums."""
