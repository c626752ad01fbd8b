"""Find what a response calls itself: its id, its model, its provider."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from jobspan.model.usage.number import dollars
from jobspan.model.usage.shape import field

_LONGEST_TEXT = 200
_PROVIDER_OF_SHAPE = {
    "cohere": "cohere",
    "gemini": "google",
    "bedrock": "aws.bedrock",
    "anthropic": "anthropic",
}
_PROVIDER_OF_MODULE = {
    "anthropic": "anthropic",
    "cohere": "cohere",
    "google": "google",
    "groq": "groq",
    "mistralai": "mistral",
    "vertexai": "google",
}
_OPENAI_MODELS = ("gpt-", "o1", "o3", "o4", "chatgpt-", "text-embedding-", "codex-")


def model_of(part: object) -> str | None:
    """Return the name of the model that a response or a part of it gives."""
    direct = text_of(field(part, "model_version", "modelVersion")) or text_of(field(part, "model"))
    if direct:
        return direct
    named = text_of(field(part, "model_name"))
    metadata = field(part, "response_metadata")
    return named or text_of(field(metadata, "model_name")) or text_of(field(metadata, "model"))


def id_of(part: object) -> str | None:
    """Return the provider's id of a response; ids that frameworks make up for a run are none."""
    metadata = field(part, "response_metadata", "ResponseMetadata")
    for text in (
        field(metadata, "id", "RequestId"),
        field(part, "provider_response_id"),
        field(part, "response_id", "responseId"),
        field(part, "id"),
        field(part, "generation_id"),
        field(part, "last_response_id"),
    ):
        if isinstance(text, str) and text and not text.startswith(("run-", "lc_")):
            return text[:_LONGEST_TEXT]
    return None


def provider_of(response: object, model: str | None, shape: str) -> str | None:
    """Return the provider, from what the response says, its shape, its module or its model."""
    named = (
        text_of(field(field(response, "_hidden_params"), "custom_llm_provider"))
        or text_of(field(field(response, "response_metadata"), "model_provider"))
        or text_of(field(response, "provider_name"))
        or _PROVIDER_OF_SHAPE.get(shape)
        or _PROVIDER_OF_MODULE.get(type(response).__module__.partition(".")[0])
    )
    if named is None and model is not None and model.startswith(_OPENAI_MODELS):
        return "openai"
    return named


def hidden_cost(response: object) -> Decimal | None:
    """Return the cost in US dollars that LiteLLM puts beside a response."""
    return dollars(field(field(response, "_hidden_params"), "response_cost")) or None


def text_of(value: Any) -> str | None:
    """Return a text that is not empty, cut to 200 characters, or None."""
    return value[:_LONGEST_TEXT] if isinstance(value, str) and value else None
