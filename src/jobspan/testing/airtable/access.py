"""Who may do what: tokens, their scopes, and revoking them while the server runs."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from jobspan.testing.airtable import refusal
from jobspan.testing.airtable.field import new_id

SCOPES = frozenset({"data.records:read", "data.records:write", "schema.bases:read", "schema.bases:write"})


@dataclass
class Token:
    """A personal access token."""

    secret: str
    scopes: frozenset[str] = SCOPES
    is_active: bool = True
    user_id: str = field(default_factory=lambda: new_id("usr"))


class Access:
    """The tokens that exist."""

    def __init__(self) -> None:
        self._tokens: dict[str, Token] = {}

    def add(self, scopes: Iterable[str] = SCOPES) -> str:
        """Make a token with `scopes`; return its text.

        Raises:
            ValueError: A scope is unknown.
        """
        wanted = frozenset(scopes)
        if wanted - SCOPES:
            raise ValueError(f"unknown scopes {sorted(wanted - SCOPES)}; there are {sorted(SCOPES)}")
        token = Token(new_id("pat") + "." + new_id("x") + new_id("x"), wanted)
        self._tokens[token.secret] = token
        return token.secret

    def revoke(self, secret: str) -> None:
        """Refuse the token with 401 from now on."""
        self._tokens[secret].is_active = False

    def restore(self, secret: str) -> None:
        """Take the token again."""
        self._tokens[secret].is_active = True

    def grant(self, secret: str, scopes: Iterable[str]) -> None:
        """Give the token exactly these scopes."""
        self._tokens[secret].scopes = frozenset(scopes)

    def token(self, authorization: str | None) -> Token:
        """Return the token of an Authorization header, or refuse with 401."""
        kind, _, secret = (authorization or "").partition(" ")
        token = self._tokens.get(secret.strip())
        if kind.lower() != "bearer" or token is None or not token.is_active:
            raise refusal.unauthenticated()
        return token
