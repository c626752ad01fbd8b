from __future__ import annotations

import json
import pickle
import random
import time

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from jobspan.model.redact import REDACTED, Redactor, secret_values

# Made up for these tests; put together so that no scanner takes this file for a leak.
PAT = "pat" + "Ab1Cd2Ef3Gh4Ij" + "." + "0123456789abcdef" * 4
JWT = "eyJ" + "hbGciOiJIUzI1NiJ9" + ".eyJzdWIiOiIxMjM0In0." + "dBjftJeZ4CVP-mB92K27uhbUJU1p1r"
KEY_LINES = "\n".join("MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQC7" for _ in range(12))
BEGIN, END = "-----BEGIN " + "RSA PRIVATE KEY-----", "-----END " + "RSA PRIVATE KEY-----"
TOKENS = [
    PAT,
    "key" + "Ab1Cd2Ef3Gh4Ij",
    "apify_api_" + "AbCdEf123456AbCdEf123456AbCdEf123456",
    "sk-" + "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFGHIJKL",
    "sk-" + "proj-abcDEF_ghi-jkl1234567890",
    "sk-ant-" + "api03-AbCd_EfGh-1234567890",
    "sk-or-v1-" + "0123456789abcdef" * 4,
    "sk_live_" + "4eC39HqLyjWDarjtT1zdp7dc",
    "ghp_" + "16C7e42F292c6912E7710c838347Ae178B4a",
    "github_pat_" + "11ABCDEFG0123456789_abcdefghijklmnop",
    "glpat-" + "abcdefghij0123456789",
    "xoxb-" + "123456789012-abcdefABCDEF",
    "AIza" + "SyA1234567890abcdefghijklmnopqrstuvw",
    "AKIA" + "IOSFODNN7EXAMPLE",
    "hf_" + "abcdefghijABCDEFGHIJ0123456789abcd",
    "gsk_" + "abcdefghijABCDEFGHIJ0123456789abcd",
    "SG." + "abcdefghijABCDEFGHIJ01" + "." + "abcdefghijABCDEFGHIJ0123456789abcdefghijklm",
    JWT,
]
FRAMES = [
    "{}",
    "401 for token {}, try again",
    "url?x={}&y=1",
    "(b'{}',)",
    'said "{}".',
    "a\n{}\nb",
    r"a\n{}\n",
]
FRAMES += ["x={}", "q%3D{}", "[{}]", "<{}>", "é{}é", "path/{}/rows"]


@pytest.mark.parametrize("frame", FRAMES)
@pytest.mark.parametrize("token", TOKENS, ids=[token[:7] for token in TOKENS])
def test_a_token_of_a_known_service_goes_wherever_it_stands(token: str, frame: str) -> None:
    shown = Redactor()(frame.format(token))
    assert token not in shown
    assert token[-8:] not in shown
    assert REDACTED in shown


NAMED = [
    ("Authorization: Bearer abcdefgh", "abcdefgh"),
    ("{'Authorization': 'Bearer my-token-value'}", "my-token-value"),
    ("sent Bearer a1b2c3d4e5 to the host", "a1b2c3d4e5"),
    ("authorization: Basic dXNlcjpodW50ZXIyMg==", "dXNlcjpodW50ZXIyMg"),
    ("used basic dXNlcjpodW50ZXIyMg==", "dXNlcjpodW50ZXIyMg"),
    ('Authorization: Digest username="u", response="6629fae4"', "6629fae4"),
    ("password=hunter2", "hunter2"),
    ("password=pass,wo'rd)1 and more", "pass,wo'rd)1"),
    ("PASSWORD: Swordfish!", "Swordfish!"),
    ("{'password': 'correct horse battery', 'user': 'bob'}", "horse"),
    ('{"api_key": "a\\"b c", "n": 1}', 'a\\"b c'),
    ("{'api_key': 'hunter22'}", "hunter22"),
    ('"{\\"password\\": \\"hunter2\\", \\"n\\": 1}"', "hunter2"),
    ("OPENAI_API_KEY=zzz999zzz", "zzz999zzz"),
    ("Settings(api_key=SecretStr('opensesame'), n=1)", "opensesame"),
    ("aws_secret_access_key = wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", "wJalrXUtnFEMI"),
    ("clientSecret=opensesame&x=1", "opensesame"),
    ("https://host/path?token=opensesame&x=1", "opensesame"),
    ("https://host/path?key=abc123def456", "abc123def456"),
    ("https://host/?sig=0123456789abcdefABCDEF", "0123456789abcdef"),
    ("X-Api-Key: opensesame", "opensesame"),
    ("passwd=abc123;host=db", "abc123"),
    ("run --password hunter2 --verbose", "hunter2"),
    ("postgres://bob:hunter2@db.example/x", "hunter2"),
    ("postgres://bob:p@ss:w0rd@db.example/x", "w0rd"),
    ("postgres://bob:pa/ss@db.example/x", "pa/ss"),
    ("redis://:hunter2@db.example:6379", "hunter2"),
    ("https://abcdef0123456789@host/x.git", "abcdef0123456789"),
    ("Cookie: session=abcdef; theme=dark", "abcdef"),
    ("https://hooks.slack.com/services/T000/B000/XXXX", "XXXX"),
    (f"{BEGIN}\n{KEY_LINES}\n{END}", "MIIE"),
    (f"{BEGIN}\n{KEY_LINES}", "MIIE"),
    (f"{KEY_LINES}\n{END}", "MIIE"),
    (f"{BEGIN}\n{KEY_LINES}\n{END} {KEY_LINES}\n{END}", "MIIE"),
    (json.dumps({"private_key": f"{BEGIN}\n{KEY_LINES}\n{END}\n"}), "MIIE"),
]


@pytest.mark.parametrize(("text", "secret"), NAMED, ids=[text[:24] for text, _ in NAMED])
def test_a_named_secret_goes(text: str, secret: str) -> None:
    shown = Redactor()(text)
    assert secret not in shown
    assert REDACTED in shown


def test_what_stands_around_a_secret_stays() -> None:
    redact = Redactor()
    nested = r'"{\"pin\":1,\"password\":12345,\"user\":\"bob\"}"'
    assert redact(nested) == nested.replace("12345", REDACTED)
    assert (
        redact("login failed: password=hunter2, user=bob") == f"login failed: password={REDACTED}, user=bob"
    )
    assert redact("{'api_key': 'x1y2z3', 'n': 1}") == f"{{'api_key': '{REDACTED}', 'n': 1}}"
    assert redact("GET https://u:p@h.example/x failed") == f"GET https://{REDACTED}@h.example/x failed"
    assert redact(f"no row for {PAT}.") == f"no row for {REDACTED}."
    assert redact("Authorization: Bearer abc123xyz failed") == f"Authorization: {REDACTED} failed"


ORDINARY = [
    "",
    "prompt_tokens=120, completion_tokens=17, total_tokens: 137",
    "max_tokens: 50",
    "{'prompt_tokens': 120, 'max_tokens': 4096, 'token_count': 9}",
    "token count = 120",
    "Token: 1,234 used",
    '{"token": 57}',
    "tokens per minute: 90000 (limit 200000)",
    "This model's maximum context length is 8192 tokens. However, your messages resulted in 9000 tokens.",
    "pip install sk-learn, see task-force and risk-assessment-for-enterprise-2024 on disk-usage-report-2024",
    "sk-learn-contrib-imbalanced",
    "password reset mail sent",
    "password: required",
    "the password must have 8 characters; Password: must not be empty",
    "API key: missing",
    "api_key=None, token=None, password: str | None = None",
    "password=********",
    "the bearer of good news brought basic information",
    "Bearer authentication failed; basic authentication is not allowed",
    "Bearer instruments, basic subscription, Basic Economics",
    "key: client_id",
    "sort key = created_at; primary_key=id; foreign key: user_id",
    "KeyError: 'client_id'",
    "clients(key='client_id') and key=lead-17",
    "monkey=banana7banana turkey: 12 whiskey=Lagavulin16",
    "keyPerformanceInd keyboardShortcuts keyInformation patterns.deadbeef",
    "mail bob@example.com or see https://example.com/@bob?tab=1",
    "git clone ssh://git@example.com/x.git and git@example.com:a/b",
    "http://example.com:8080/path and http://[::1]:80/",
    "251007-220509-Guy-Wilson: 5 \u00d7 ValueError: bad profile — first lead 17",
    "rec0123456789abcd tblAbCdEf12345678 appAbCdEf12345678",
    "550e8400-e29b-41d4-a716-446655440000",
    "secret: no, author: Jane Austen, authority=high",
    "The cookie: a consent banner is missing",
    "PWD=/home/bob/project",
    r'"{\"cache_key\":null,\"prompt_cache_options\":null,\"password\":null,\"n\":1}"',
    "Größe 5 \u00d7 3 — 漢字",
    "--max-token 120 --key id",
]


@pytest.mark.parametrize("text", ORDINARY, ids=[text[:24] for text in ORDINARY])
def test_an_ordinary_text_stays_as_it_is(text: str) -> None:
    assert Redactor(["opensesame"])(text) == text


words = st.sampled_from(
    ["profile", "leads", "12", "client", "3.5", "failed", "Guy-Wilson", "token", "key", "basic", ":"]
)


@given(st.lists(words, max_size=30).map(" ".join))
def test_business_prose_stays_as_it_is(text: str) -> None:
    assume("token :" not in text and "key :" not in text)  # what follows these is taken for a secret
    assert Redactor()(text) == text


pieces = st.one_of(st.sampled_from([*TOKENS, *(text for text, _ in NAMED), *ORDINARY]), st.text(max_size=8))


@settings(derandomize=True)
@given(st.lists(pieces, max_size=6).map(" ".join))
def test_redacting_twice_changes_nothing_more(text: str) -> None:
    redact = Redactor(["opensesame"])
    once = redact(text)
    assert redact(once) == once


@given(st.lists(st.sampled_from(ORDINARY[1:6]), max_size=3), st.sampled_from(TOKENS), st.integers(0, 3))
def test_no_token_survives_among_ordinary_words(texts: list[str], token: str, at: int) -> None:
    texts.insert(at, token)
    assert token not in Redactor()(" ".join(texts))


def test_exact_values_go_in_every_spelling() -> None:
    value = 'p@ss "word"/ü'
    redact = Redactor([value, "", "ab"])
    for text in (value, json.dumps({"x": value}), repr([value]), "a=p%40ss%20%22word%22%2F%C3%BC&b=ab"):
        assert "word" not in redact(text)
    assert redact("ab and nothing else") == "ab and nothing else"


def test_a_value_that_holds_another_goes_as_a_whole() -> None:
    redact = Redactor(["opensesame", "opensesame-and-more"])
    assert redact("x opensesame-and-more y opensesame z") == f"x {REDACTED} y {REDACTED} z"
    assert redact("opensesameopensesame") == REDACTED


def test_the_environment_gives_the_values_of_its_secrets() -> None:
    environ = {
        "AIRTABLE_API_KEY": "longenough1",
        "db_password": "12345678",
        "GITHUB_TOKEN": "  spaces-around ",
        "MAX_TOKENS": "100000000",
        "TOKENIZERS_PARALLELISM": "disabled!",
        "TOKEN_LIMIT_KEY": "20000000",
        "SECRET_TYPE": "kubernetes",
        "API_KEY": "short",
        "HOME": "/home/somebody",
        "AUTH_TOKEN": "undefined",
    }
    assert secret_values(environ) == {"longenough1", "12345678", "spaces-around"}


SECRETS = [PAT, JWT, "password=hunter2hunter2", "postgres://bob:hunter2hunter2@h", "opensesame-opensesame"]


@pytest.mark.parametrize("secret", SECRETS, ids=[secret[:8] for secret in SECRETS])
def test_a_secret_on_the_border_of_the_cut_does_not_leak(secret: str) -> None:
    redact = Redactor(["opensesame-opensesame"], limit=400)
    clue = secret.split("=")[-1].split(":")[-1].split("@")[0]
    parts = [clue[start : start + 6] for start in range(len(clue) - 5)]
    for offset in range(0, 460, 3):
        for text in (
            "x " * (offset // 2) + secret + " y" * 3000,
            "x " * 3000 + secret + " y" * (offset // 2),
        ):
            shown = redact(text)
            assert len(shown) <= 400 + len(REDACTED)
            assert not any(part in shown for part in parts), (offset, shown)


def test_a_long_text_keeps_head_and_tail_and_says_so() -> None:
    shown = Redactor(limit=1000)("head " + "x " * 5000 + "tail")
    assert shown.startswith("head x")
    assert shown.endswith("x tail")
    assert "characters cut" in shown


HOSTILE = [
    "a",
    "eyJ",
    "sk-",
    "key",
    "://",
    "://a:",
    "password=",
    'password="',
    'key=\\"',
    "\\",
    "key=" + "\\" * 50,
]
HOSTILE += [
    "bearer ",
    "basic ",
    "cookie=",
    "-",
    "--key ",
    BEGIN,
    END,
    "pat",
    "SG.",
    "1",
    "token:",
    "ghp_",
    "@",
    "\u017f",
]
HOSTILE += [
    "://" + ":" * 600,
    "AIza",
    "key'",
    "Digest a=",
    "password=" + "'" * 90,
    "A" * 63 + "\n",
    "secret=,a",
]


@pytest.mark.parametrize("unit", HOSTILE, ids=[unit[:10] for unit in HOSTILE])
@pytest.mark.parametrize("size", [16_000, 1_000_000])
def test_hostile_text_takes_linear_time(unit: str, size: int) -> None:
    redact = Redactor(["opensesame"])
    text = (unit * (size // len(unit) + 1))[:size]
    for hostile in (text, f"password private key {text}", f'key=\\"{text}'):
        started = time.process_time()
        redact(hostile)
        assert time.process_time() - started < 0.5


def test_any_bytes_are_taken_without_a_word() -> None:
    source = random.Random(7)
    redact = Redactor(["opensesame"], limit=300)
    for _ in range(300):
        text = "".join(chr(source.randrange(0x3000)) for _ in range(source.randrange(900)))
        assert isinstance(redact(text + "\ud800\x00"), str)


def test_the_redactor_shows_and_pickles_no_secret() -> None:
    redact = Redactor(["opensesame"])
    assert "opensesame" not in repr(redact)
    with pytest.raises(TypeError, match="not pickled"):
        pickle.dumps(redact)
