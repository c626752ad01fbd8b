"""Secrets taken out of a text before it is written anywhere.

Known shapes (tokens of well-known services, headers, ``password=…``, URLs with a password, private keys)
and the exact values of secrets the process was given become ``[redacted]``. A rule is a cheap hint,
a pattern that runs in linear time, and where the shape alone is too weak, a test of what it found.
"""

from __future__ import annotations

import base64
import json
import re
import string
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from urllib.parse import quote, quote_plus

from jobspan.model.text import cut_mark

REDACTED = "[redacted]"

_LIMIT = 16_384
_MARGIN = 4_096  # a longer secret than any pattern's, so that one on the border is seen whole
_LEAST_VALUE = 4
_LEAST_ENV_VALUE = 8

_PLAIN_WORDS = (
    "none null nil true false undefined empty missing invalid expired required optional unknown unset set"
    " absent wrong bad good valid revoked rejected changed reset rotated disabled enabled default error ok"
    " failed must is has was not should cannot can will the and for from with see str int bytes bool any"
    " string number value token key password secret eof name names type text object hidden redacted"
)
_PLAIN = frozenset(_PLAIN_WORDS.split())
_ALREADY = re.compile(r"(?:\w+\s+)?\[redacted")
_NUMBER = re.compile(r"[0-9][0-9.,:_/TZ-]*%?")
_WORD_AND_NUMBER = re.compile(r"[A-Za-z]+[-_][0-9]{1,6}")
_INNER_UPPER = re.compile("[a-z][A-Z]|[A-Z]{2}[a-z]|[A-Z][a-z]+[A-Z]")


def _mixed(text: str) -> bool:
    """Tell whether `text` holds both a letter and a digit."""
    return any(map(str.isalpha, text)) and any(map(str.isdigit, text))


def _is_sk_key(match: re.Match[str]) -> bool:
    body = match[1]
    if re.match("(?:ant|proj|or|svcacct|admin|lf|live|test|secret|fake|key|api)[-_]", body):
        return True
    return any(len(part) >= 12 or (len(part) >= 6 and _mixed(part)) for part in re.split("[-_]", body))


def _is_legacy_airtable_key(match: re.Match[str]) -> bool:
    body = match[1]
    return body.upper() != body != body.lower() and (_mixed(body) or sum(map(str.isupper, body)) > 2)


def _is_bearer_token(match: re.Match[str]) -> bool:
    token = match[1].rstrip(".,;:-=")
    inner = any(mark in token for mark in "._~+/-=")
    random = inner or _mixed(token) or _INNER_UPPER.search(token) is not None
    return len(token) >= (8 if random else 20)


def _is_basic_credential(match: re.Match[str]) -> bool:
    token = match[1].rstrip("=")
    try:
        decoded = base64.b64decode(token + "=" * (-len(token) % 4), validate=True)
    except ValueError:
        return False
    return b":" in decoded and min(decoded) >= 0x20


def _is_user_token(match: re.Match[str]) -> bool:
    return len(match[1]) >= 16 or (len(match[1]) >= 8 and _mixed(match[1]))


def _has_dot(match: re.Match[str]) -> bool:
    return "." in match[0]


def _is_flag_value(match: re.Match[str]) -> bool:
    value = match[1].strip("\"'").lower()
    return len(value) > 2 and value[0] != "-" and value not in _PLAIN and not _NUMBER.fullmatch(value)


def _is_named_secret(match: re.Match[str]) -> bool:
    """Judge what stands behind ``password=``, ``token:`` and the like; the last group is the value."""
    name, value = match["name"].lower(), match[match.lastgroup or 0]
    core = value.strip(" .*…-_")
    if _ALREADY.match(core) or len(core) < 3 or core.lower() in _PLAIN:
        return False
    stated = match.lastgroup != "bare" or not re.search(r"\s|:", match["sep"])
    if name not in {"token", "key", "auth", "sig", "signature"}:
        return not (name == "pwd" and core.startswith(("/", "~"))) and (stated or len(core) > 3)
    if _NUMBER.fullmatch(core):
        return False
    if name == "token":
        return len(core) > 3 if stated else len(core) >= 16 or (len(core) >= 6 and _mixed(core))
    if _WORD_AND_NUMBER.fullmatch(core):
        return False
    return " " not in core and (len(core) >= 20 or (len(core) >= (6 if stated else 16) and _mixed(core)))


_SCOPES = (
    "api|access|client|auth|refresh|id|private|session|account|bot|signing|encryption|master|subscription"
    "|shared|secret|service|consumer|license"
)
_NAMES = (
    "pass(?:word|wd|phrase)|pwd|secret|credentials?|authorization|x-amz-(?:signature|credential|security-token)"
    rf"|(?:{_SCOPES})[_-]?(?:key|token|secret)|api\ key|token|(?<![A-Za-z])(?:key|auth|sig|signature)"
)
_NAMED = rf"""(?P<name>{_NAMES}) \\{{0,8}}["']? (?P<sep>\s{{0,3}}(?:=>|={{1,3}}|:|%3D)\s{{0,3}})
    (?:[A-Za-z]{{1,20}}\()? (?:[bru]{{1,2}}(?=["']))?
    (?: \\{{1,8}}["'](?P<nested>[^"']*?)\\{{1,8}}["']
      | "(?P<double>[^"\\]*(?:\\.[^"\\]*)*)
      | '(?P<single>[^'\\]*(?:\\.[^'\\]*)*)
      | (?P<bare>(?:(?:Bearer|Basic|Token|Bot|ApiKey)\s+)?
          (?:[^\s&;<"',)\]}}\\] | \\(?!["'])
            | ["',)\]}}](?!["',)\]}}\s]|\\{{1,8}}["']|$|[A-Za-z_][\w.-]{{0,40}}\s?[=:]))+ )
    )"""
_KEY_BLOCK = r"-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----(?:.*?-----END [A-Z0-9 ]{0,40}-----|.*)"
_KEY_END = re.compile(r"-----END [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----")
_KEY_BODY = string.ascii_letters + string.digits + "+/=\\ \r\n\t"
_FREE = r"(?:(?<![A-Za-z0-9])|(?<=\\[nrt])|(?<=%[0-9A-Fa-f]{2}))"  # a word starts; an escape may stand before


@dataclass(frozen=True, slots=True)
class _Rule:
    hints: tuple[str, ...]
    """Of these lower-case texts one must occur, else the pattern is not even tried."""
    pattern: re.Pattern[str]
    is_secret: Callable[[re.Match[str]], bool] | None = None
    group: int = 0


def _rule(
    hints: str,
    pattern: str,
    is_secret: Callable[[re.Match[str]], bool] | None = None,
    *,
    group: int = 0,
    flags: int = 0,
) -> _Rule:
    return _Rule(tuple(hints.split()), re.compile(pattern, flags), is_secret, group)


_RULES = (
    _rule("private", _KEY_BLOCK, flags=re.DOTALL),
    _rule("pat", r"pat[A-Za-z0-9]{14}\.[0-9a-fA-F]{16,64}"),
    _rule("key", rf"{_FREE}key([A-Za-z0-9]{{14}})(?![A-Za-z0-9])", _is_legacy_airtable_key),
    _rule("apify_", r"apify_(?:api|proxy)_[A-Za-z0-9]{8,}"),
    _rule("sk-", rf"{_FREE}sk-([A-Za-z0-9_-]{{6,}})", _is_sk_key),
    _rule("k_live k_test", r"[srp]k_(?:live|test)_[A-Za-z0-9]{8,}"),
    _rule("gsk_ hf_ whsec_", r"(?:gsk_|hf_|whsec_)[A-Za-z0-9]{20,}"),
    _rule("xai- pplx- glpat- npm_ ntn_", r"(?:xai-|pplx-|glpat-|npm_|ntn_)[A-Za-z0-9_-]{20,}"),
    _rule("gh github_pat_", r"(?:gh[pousr]_|github_pat_)[A-Za-z0-9_]{16,}"),
    _rule("xox xapp-", r"(?:xox[a-z]|xapp)-[A-Za-z0-9-]{8,}"),
    _rule("hooks.slack webhooks", r"(?:hooks\.slack\.com/services|api/webhooks)/([A-Za-z0-9_/-]+)", group=1),
    _rule("aiza ya29. gocspx-", r"(?:AIza|ya29\.|GOCSPX-)[A-Za-z0-9_-]{16,}"),
    _rule("sg.", r"SG\.[A-Za-z0-9_-]{16,64}\.[A-Za-z0-9_-]{16,}"),
    _rule("akia asia aroa aida", r"(?:AKIA|ASIA|AROA|AIDA)[A-Z0-9]{16}"),
    _rule(":aa", r"[0-9]{8,10}:AA[A-Za-z0-9_-]{30,}"),
    _rule("eyj", r"eyJ[A-Za-z0-9_.-]{16,}", _has_dot),
    _rule(
        "bearer", r"bearer(?:\s+|%20)([A-Za-z0-9._~+/=-]{8,})", _is_bearer_token, group=1, flags=re.IGNORECASE
    ),
    _rule("basic", r"basic\s+([A-Za-z0-9+/]{6,}={0,2})", _is_basic_credential, group=1, flags=re.IGNORECASE),
    _rule("digest aws4-", r"(?:Digest|AWS4-HMAC-SHA256)\s+(\w{1,40}=[^\n]*)", group=1),
    _rule(
        "cookie",
        r"cookie\\?[\"']?\s{0,3}[:=]\s{0,3}[\"']?([\w.-]{1,60}=[^\"'\n]+)",
        group=1,
        flags=re.IGNORECASE,
    ),
    _rule("://", r"://([^\s/@:'\"<>?#]{0,512}:[^\s/'\"<>]{0,512})@", group=1),
    _rule("://", r"://([^\s/@:'\"<>?#]{0,512}:(?![0-9]{1,5}/)[^\s'\"<>?]{1,512})@", group=1),
    _rule("://", r"://([^\s/@:'\"<>?#]{8,512})@", _is_user_token, group=1),
    _rule("--", r"--[a-z-]{0,20}(?:password|token|secret|key)\s+([^\s]+)", _is_flag_value, group=1),
    _rule(
        "pass pwd secret credential auth key token sig",
        _NAMED,
        _is_named_secret,
        flags=re.IGNORECASE | re.VERBOSE | re.DOTALL,
    ),
)


def _any_of(words: set[str]) -> str:
    """Return a pattern that finds a word or the start of one: of equal starts each is looked at once."""
    rests: dict[str, set[str]] = {}
    for word in sorted(words):
        rests.setdefault(word[0], set()).add(word[1:])
    ways = [re.escape(first) + ("" if "" in rest else _any_of(rest)) for first, rest in rests.items()]
    return f"(?:{'|'.join(ways)})"


_ANY_HINT = re.compile(_any_of({hint for rule in _RULES for hint in rule.hints}))
"""One look through a text without any hint, as most names are: a twentieth of asking for each hint."""

_SECRET_NAME = re.compile(r"KEY|TOKEN(?!S|IZER)|SECRET|PASSWORD|PASSWD|PASSPHRASE|CREDENTIAL|_PWD$|_PAT$")
_SETTING_NAME = re.compile(
    r"_(?:TYPE|NAME|MODE|PATH|FILE|DIR|TTL|LIMIT|COUNT|EXPIRY|EXPIRES(?:_IN)?|ALGORITHM)$"
)


def secret_values(environ: Mapping[str, str]) -> frozenset[str]:
    """Return the values of `environ` that are secrets, judged by the names of the variables.

    At least eight characters long; plain words, and numbers that are no password, are left out.
    """
    found: set[str] = set()
    for name, value in environ.items():
        name, value = name.upper(), value.strip()
        if _SECRET_NAME.search(name) is None or _SETTING_NAME.search(name) is not None:
            continue
        number = value.isdigit() and len(value) < 12 and "PASS" not in name
        if len(value) >= _LEAST_ENV_VALUE and not number and value.lower() not in _PLAIN:
            found.add(value)
    return frozenset(found)


class Redactor:
    """Replaces secrets in a text by ``[redacted]``; everything else stays as it was.

    Call it with the whole text, *before* it is clipped or escaped: half a secret has no shape. A text
    above `limit` characters comes back cut to its head and tail; what stands on a border is judged
    with its surroundings. Applying it twice changes nothing more. It keeps no state between calls.
    """

    __slots__ = ("_limit", "_margin", "_values")

    def __init__(self, extra_values: Iterable[str] = (), *, limit: int = _LIMIT) -> None:
        """Know `extra_values` as secrets, as they are and as URLs, JSON and Python write them.

        Values of less than four characters are ignored: they would tear any text apart.
        """
        given = {value.strip() for value in extra_values}
        spelt = {each for value in given if len(value) >= _LEAST_VALUE for each in _spellings(value)}
        self._values = tuple(sorted(spelt, key=lambda value: (-len(value), value)))
        self._margin = max([_MARGIN, *map(len, self._values)])
        self._limit = max(limit, 200)

    def __call__(self, text: str) -> str:
        """Return `text` without its secrets; time grows linearly up to `limit`, and not at all beyond."""
        if len(text) <= self._limit:
            spans = self._secrets(text)
            return _without(text, spans, 0, len(text)) if spans else text
        room = self._limit - len(cut_mark(len(text)))
        keep_head, keep_tail = room - room // 2, room // 2
        head, tail = text[: keep_head + self._margin], text[-(keep_tail + self._margin) :]
        shown_head = _without(head, self._secrets(head), 0, keep_head)
        shown_tail = _without(tail, self._secrets(tail), len(tail) - keep_tail, len(tail))
        return shown_head + cut_mark(len(text) - room) + shown_tail

    def __repr__(self) -> str:
        return f"<{type(self).__name__}: {len(self._values)} values>"

    def __reduce__(self) -> str:
        raise TypeError("a Redactor knows secrets, so it is not pickled")

    def _secrets(self, text: str) -> list[tuple[int, int]]:
        """Return where secrets stand, as sorted (start, end)."""
        spans: list[tuple[int, int]] = []
        for value in self._values:
            if value in text:
                spans.extend(_places(text, value))
        lowered = text.lower()
        if _ANY_HINT.search(lowered) is None:
            return sorted(spans)
        for rule in _RULES:
            if any(hint in lowered for hint in rule.hints):
                spans.extend(_matches(rule, text))
        if "private key" in lowered:
            spans.extend(_headless_key(text))
        return sorted(spans)


def _spellings(value: str) -> set[str]:
    return {value, quote(value, safe=""), quote_plus(value), json.dumps(value)[1:-1], repr(value)[1:-1]}


def _places(text: str, value: str) -> Iterator[tuple[int, int]]:
    at = text.find(value)
    while at >= 0:
        yield at, at + len(value)
        at = text.find(value, at + len(value))


def _matches(rule: _Rule, text: str) -> Iterator[tuple[int, int]]:
    for match in rule.pattern.finditer(text):
        if rule.is_secret is None or rule.is_secret(match):
            yield match.span(match.lastgroup if rule.pattern.groupindex and match.lastgroup else rule.group)


def _headless_key(text: str) -> Iterator[tuple[int, int]]:
    """Find what is left of private keys whose first line is missing."""
    start = 0
    for end in _KEY_END.finditer(text):
        before = text[start : end.start()]
        if "-----BEGIN" not in before:
            yield start + len(before.rstrip(_KEY_BODY)), end.end()
        start = end.end()


def _without(text: str, spans: list[tuple[int, int]], start: int, stop: int) -> str:
    """Return `text[start:stop]` with each of the sorted `spans`, merged where they touch, replaced."""
    pieces: list[str] = []
    at, redacted_to = start, -1
    for first, last in spans:
        if last <= start or first >= stop or first == last:
            continue
        if first > redacted_to:
            pieces += [text[at : max(first, at)], REDACTED]
        redacted_to = max(redacted_to, last)
        at = max(at, redacted_to)
    return "".join([*pieces, text[at:stop]]) if at < stop else "".join(pieces)
