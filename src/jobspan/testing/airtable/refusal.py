"""The ways in which Airtable says no: one exception, and a function for each known body.

The types and wordings are those of Airtable's documentation and of answers of the live service that
public projects have reported; where neither says, the message is ours and plain.
"""

from __future__ import annotations

from typing import Any


class Refusal(Exception):
    """An answer that is not 200; nothing of the request was applied."""

    def __init__(self, status: int, body: Any, headers: dict[str, str] | None = None) -> None:
        super().__init__(f"{status} {body}")
        self.status = status
        self.body = body
        self.headers = headers or {}


def typed(status: int, kind: str, message: str) -> Refusal:
    """Return a refusal with the usual body, ``{"error": {"type", "message"}}``."""
    return Refusal(status, {"error": {"type": kind, "message": message}})


def unauthenticated() -> Refusal:
    """Return the 401 for a missing, unknown or revoked token."""
    return typed(401, "AUTHENTICATION_REQUIRED", "Authentication required")


def forbidden() -> Refusal:
    """Return the 403 that stands for a missing permission, base or table alike."""
    return typed(
        403,
        "INVALID_PERMISSIONS_OR_MODEL_NOT_FOUND",
        "Invalid permissions, or the requested model was not found. Check that both your user and your "
        "token have the required permissions, and that the model names and/or ids are correct.",
    )


def not_found() -> Refusal:
    """Return the 404 whose ``error`` is a bare string."""
    return Refusal(404, {"error": "NOT_FOUND"})


def too_large() -> Refusal:
    """Return the 413 for a body above the limit."""
    return typed(413, "REQUEST_ENTITY_TOO_LARGE", "The request exceeded the maximum allowed payload size.")


def invalid_request(
    message: str = "Invalid request: parameter validation failed. Check your request data.",
) -> Refusal:
    """Return the 422 for parameters of a wrong kind, or unknown ones."""
    return typed(422, "INVALID_REQUEST_UNKNOWN", message)


def unreadable_body() -> Refusal:
    """Return the 422 for a body that is no JSON; NaN and Infinity are no JSON."""
    return typed(422, "INVALID_REQUEST_BODY", "Could not parse request body")


def missing_fields() -> Refusal:
    """Return the 422 for a body without ``fields`` or ``records``, or one not declared as JSON."""
    return typed(422, "INVALID_REQUEST_MISSING_FIELDS", 'Could not find field "fields" in the request body')


def invalid_records(with_id: bool) -> Refusal:
    """Return the 422 for ``records`` that is no list of 1 to 10 record objects."""
    identity = 'an "id" ID field and ' if with_id else ""
    return typed(
        422,
        "INVALID_RECORDS",
        f'You must provide an array of up to 10 record objects, each with {identity}a "fields" object '
        "for cell values.",
    )


def too_many_records(count: int) -> Refusal:
    """Return the 422 for a creation of more than 10 records."""
    return typed(
        422,
        "INVALID_RECORDS",
        f"A maximum of 10 records can be created per request but you have provided {count}.",
    )


def invalid_record_ids() -> Refusal:
    """Return the 422 for a deletion that does not name 1 to 10 record ids."""
    return typed(422, "INVALID_RECORDS", '"records" must be an array of up to 10 record IDs.')


def unknown_field(name: str) -> Refusal:
    """Return the 422 for a field that the table does not have."""
    return typed(422, "UNKNOWN_FIELD_NAME", f'Unknown field name: "{name}"')


def computed_field(name: str) -> Refusal:
    """Return the 422 for a value written to a computed field."""
    return typed(
        422,
        "INVALID_VALUE_FOR_COLUMN",
        f'Field "{name}" cannot accept a value because the field is computed',
    )


def wrong_value(name: str) -> Refusal:
    """Return the 422 for a value that the field's type does not take."""
    return typed(422, "INVALID_VALUE_FOR_COLUMN", f'Field "{name}" cannot accept the provided value')


def unknown_option(option: str) -> Refusal:
    """Return the 422 for a select option that does not exist; the quotes are doubled, as live."""
    return typed(
        422,
        "INVALID_MULTIPLE_CHOICE_OPTIONS",
        f'Insufficient permissions to create new select option ""{option}""',
    )


def no_such_row(record_id: str) -> Refusal:
    """Return the 422 for a record id that is not in the table."""
    return typed(422, "ROW_DOES_NOT_EXIST", f"Record ID {record_id} does not exist in this table")


def several_rows(
    message: str = "Cannot update more than one record with the same merge field values",
) -> Refusal:
    """Return the 422 for an upsert that would update several records, or one record twice."""
    return typed(422, "INVALID_REQUEST_UNKNOWN", message)


def bad_formula(why: str = "please check your formula text.") -> Refusal:
    """Return the 422 for a filter that cannot be read."""
    return typed(422, "INVALID_FILTER_BY_FORMULA", f"The formula for filtering records is invalid: {why}")


def iterator_gone() -> Refusal:
    """Return the 422 for an offset whose iterator has expired."""
    return typed(
        422,
        "LIST_RECORDS_ITERATOR_NOT_AVAILABLE",
        "The requested list records iterator is not available. Please start over.",
    )


def rate_limited(retry_after: float | None = None) -> Refusal:
    """Return the 429 for too many requests a second; its body is a list of errors, as live."""
    headers = {} if retry_after is None else {"Retry-After": str(max(1, round(retry_after)))}
    message = "Rate limit exceeded. Please try again later"
    return Refusal(429, {"errors": [{"error": "RATE_LIMIT_REACHED", "message": message}]}, headers)


def quota_used_up() -> Refusal:
    """Return the 429 for a workspace that has used its calls of the month."""
    message = (
        "API billing plan limit exceeded. "
        "You've reached the maximum number of requests allowed for this month."
    )
    return Refusal(429, {"errors": [{"error": "PUBLIC_API_BILLING_LIMIT_EXCEEDED", "message": message}]})


def base_full(cap: int) -> Refusal:
    """Return the 422 for a base that holds as many records as its plan allows."""
    return typed(
        422,
        "RECORD_LIMIT_EXCEEDED",
        f"This base has reached its limit of {cap} records. Delete records or upgrade the workspace's plan.",
    )
