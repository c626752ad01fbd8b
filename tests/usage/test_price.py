"""What a call costs when nobody reported it: by the list of genai-prices, or not at all."""

from __future__ import annotations

from decimal import Decimal
from importlib.metadata import version

import pytest

import jobspan
from jobspan import _runtime
from jobspan.ledger.price import price_of
from jobspan.model.usage.fact import UsageFact
from tests.conftest import Fresh

genai_prices = pytest.importorskip("genai_prices")
GEMINI, CLAUDE, GPT = "gemini-2.5-flash", "claude-3-5-haiku-latest", "gpt-4o-mini"


def fact(model: str | None, provider: str | None, **more: int) -> UsageFact:
    counts = {"prompt": 1_000_000, "completion": 0, **more}
    where = {
        "trace_id": "t",
        "span_id": "s",
        "parent_span_id": None,
        "scope": "x",
        "start_ns": 0,
        "end_ns": 0,
    }
    return UsageFact(**counts, **where, model=model, provider=provider)  # type: ignore[arg-type]


def listed(model: str, provider: str) -> Decimal:
    usage = genai_prices.Usage(input_tokens=1_000_000)
    return Decimal(genai_prices.calc_price(usage, model, provider_id=provider).total_price)


@pytest.mark.parametrize(
    ("provider", "model", "owner"),
    [
        ("gcp.gen_ai", GEMINI, "google"),
        ("gcp.gemini", GEMINI, "google"),
        ("gcp.vertex_ai", GEMINI, "google"),
        ("gemini", GEMINI, "google"),
        ("vertex_ai", GEMINI, "google"),
        ("Google", GEMINI, "google"),
        ("azure.ai.inference", GPT, "azure"),
        ("azure.ai.openai", GPT, "azure"),
        ("az.ai.openai", GPT, "azure"),
        ("OpenAI", GPT, "openai"),
        ("openai", f"openai/{GPT}", "openai"),
        (None, f"openai/{GPT}", "openai"),
        (None, GPT, "openai"),
        ("langchain", CLAUDE, "anthropic"),
        ("litellm", "text-embedding-3-small", "openai"),
        (None, "text-embedding-3-small", "openai"),
        ("Anthropic", CLAUDE, "anthropic"),
        ("mistral_ai", "mistral-small-latest", "mistral"),
        ("MistralAI", "mistral-small-latest", "mistral"),
        ("x_ai", "grok-3", "x-ai"),
        ("Cohere", "command-r", "cohere"),
        ("aws.bedrock", "us.anthropic.claude-3-5-haiku-20241022-v1:0", "aws"),
    ],
)
def test_providers_are_known_by_the_names_that_instrumentations_give(
    provider: str | None, model: str, owner: str
) -> None:
    found = price_of(fact(model, provider))
    assert found is not None
    amount, listing = found
    assert Decimal(amount) == listed(model.removeprefix("openai/"), owner)
    assert Decimal(amount) > 0
    assert listing == f"genai-prices {version('genai-prices')}"


@pytest.mark.parametrize(
    "unpriced",
    [
        fact("llama3.1:8b", "ollama"),
        fact("a-model-nobody-has", "openai"),
        fact(GPT, "ibm.watsonx.ai"),
        fact(None, "openai"),
        fact(GPT, "openai", prompt=10, cache_read=11),
        fact(GPT, "openai", prompt=10, cache_write=11),
        fact(GPT, "openai", requests=2),
    ],
    ids=["model", "new model", "provider", "no model", "cache read", "cache write", "sum"],
)
def test_what_the_list_does_not_know_or_cannot_be_has_no_price(unpriced: UsageFact) -> None:
    assert price_of(unpriced) is None


def test_more_cached_than_prompt_is_unpriced_named_and_marked(fresh: Fresh) -> None:
    price_of(fact(GPT, "openai"))  # the list is loaded
    with jobspan.job("x") as job, job.client("A") as run:
        run.record_usage(input_tokens=100, output_tokens=20, model=GPT, provider="openai", id="one")
        answer = {"input_tokens": 7, "output_tokens": 1, "input_token_details": {"cache_read": 900}}
        run.record_usage({"usage_metadata": answer, "response_metadata": {"model_name": "gpt-4o"}})
    record = fresh.client("A")
    assert record.cost_usd is not None
    assert record.cost_usd > 0
    with _runtime.runtime().reading(10) as reader:
        (row,) = reader.usage("client")
    assert (row.calls, row.unpriced_calls) == (2, 1)
    assert "≥ $" in record.system_notes
    assert "no price known for 1 call of gpt-4o" in record.system_notes
