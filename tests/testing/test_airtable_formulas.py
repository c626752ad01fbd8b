"""The formula language of filters: what is true, what is malformed, and nothing is ever run."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyairtable import formulas

from jobspan.testing.airtable import cell, formula, seed
from jobspan.testing.airtable.store import Base

from .conftest import JOBS, Client, Open

BASE = Base()
BASE.tables = seed.tables()
TABLE = BASE.table(JOBS)
CELLS = {
    "Run ID": "Guy-Wilson",
    "Status": "Running",
    "Items Processed": 7,
    "Start Time": "2025-03-01T10:20:30.000Z",
    "Error": 'it\'s {odd} \\ "x"\nend',
}
ROW = TABLE.add({TABLE.field(name).id: value for name, value in CELLS.items()})


def holds(text: str) -> bool:
    return formula.is_true(formula.compiled(text, TABLE)(cell.View(BASE, TABLE, ROW)))


TRUE = [
    "{Run ID}='Guy-Wilson'",
    '{Run ID} = "Guy-Wilson"',
    "Status='Running'",
    "{Status}!='Failed'",
    "{Items Processed}=7",
    "{Items Processed}>=7",
    "{Items Processed}<=7.0",
    "{Items Processed}>6",
    "{Items Processed}<8",
    "AND({Items Processed}>1, {Status}='Running', TRUE())",
    "OR(FALSE(), {Status}='Running')",
    "NOT(OR({Status}='Failed', {Status}='Completed'))",
    "XOR(TRUE(), FALSE())",
    "FIND('Wilson', {Run ID})=5",
    "FIND('wilson', {Run ID})=0",
    "FIND('wilson', LOWER({Run ID}))",
    "SEARCH('WILSON', {Run ID})",
    "{Job Type}=BLANK()",
    "{Job Type}=''",
    "NOT({Job Type})",
    "{End Time}=BLANK()",
    "IS_AFTER({Start Time}, DATETIME_PARSE('2025-02-28'))",
    "IS_BEFORE({Start Time}, DATETIME_PARSE('2025-03-01T10:20:31.000Z'))",
    "IS_SAME({Start Time}, DATETIME_PARSE('2025-03-01T10:20:30.000Z'))",
    "IS_SAME({Start Time}, '2025-03-01', 'day')",
    "{Start Time}=DATETIME_PARSE('2025-03-01T10:20:30.000Z')",
    "{Start Time}>DATETIME_PARSE('2025-02-28')",
    r"""{Error}='it\'s {odd} \\ "x"' & '\nend'""",
    '{Error}="it\'s {odd} \\\\ \\"x\\"\nend"',
    "1+2*3=7",
    "(1+2)*3=9",
    "-{Items Processed}+7=0",
    "'7'!=7",
    "'a'!='A'",
    "IF({Items Processed}>5, 'many', 'few')='many'",
    "LEN(TRIM('  ab '))=2",
    "RECORD_ID()!=''",
    "  1  ",
]


@pytest.mark.parametrize("text", TRUE)
def test_it_holds(text: str) -> None:
    assert holds(text)


@pytest.mark.parametrize(
    "text",
    [
        "{Run ID}='guy-wilson'",
        "{Run ID}='Wilson'",
        "{Items Processed}='7'",
        "{Job Type}",
        "IS_SAME({End Time}, DATETIME_PARSE('2025-03-01'))",
        "BLANK()",
        "0",
        "''",
        "FALSE()",
    ],
)
def test_it_does_not_hold(text: str) -> None:
    assert not holds(text)


MALFORMED = [
    "{Run ID",
    "{Run ID}='x",
    "{Run ID}=",
    "='x'",
    "AND()",
    "AND({Run ID}='x'",
    "FIND('x')",
    "__import__('os').system('true')",
    "NOSUCH(1)",
    "1 2",
    "{Run ID}=='x'",
    "x' ), TRUE( '",
    "'a' OR 'b'",
    "@",
    "(" * 500 + "1" + ")" * 500,
]


@pytest.mark.parametrize("text", MALFORMED)
def test_a_malformed_filter_is_refused(opened: Open, text: str) -> None:
    _, client = opened(control_port=None)
    refused = client.on("GET", JOBS, filterByFormula=text)
    assert (refused.status, refused.error) == (422, "INVALID_FILTER_BY_FORMULA")
    assert refused.message.startswith("The formula for filtering records is invalid: ")


def test_unknown_fields_of_a_filter_are_named(client: Client) -> None:
    refused = client.on("GET", JOBS, filterByFormula="OR({ID}='a', Nothing=1)")
    assert refused.message == (
        "The formula for filtering records is invalid: Unknown field names: id, nothing"
    )


def test_a_row_for_which_a_filter_cannot_be_worked_out_is_left_out(opened: Open) -> None:
    server, client = opened()
    server.person.add(JOBS, {"Run ID": "text"})
    server.person.add(JOBS, {"Run ID": "5"})
    found = client.list(JOBS, filterByFormula="VALUE({Run ID})>1")
    assert [record["fields"]["Run ID"] for record in found] == ["5"]
    assert client.list(JOBS, filterByFormula="1/0") == []
    deep = {"filterByFormula": "+".join(["1"] * 4000)}
    assert client.on("POST", f"{JOBS}/listRecords", deep).json["records"] == []


@given(st.text(st.characters(exclude_categories=["Cs"])))
@settings(max_examples=200, deadline=None)
def test_a_quoted_text_means_itself(text: str) -> None:
    compiled = formula.compiled(formulas.quoted(text), TABLE)
    assert compiled(cell.View(BASE, TABLE, ROW)) == text
    injected = str(formulas.match({"Run ID": text}))
    assert holds(injected) is (text == "Guy-Wilson")


@given(st.text(max_size=40))
@settings(max_examples=300, deadline=None)
def test_any_text_is_worked_out_or_malformed(text: str) -> None:
    try:
        holds(text)
    except (formula.MalformedError, formula.FormulaError) as error:
        assert str(error)  # noqa: PT017 - one of the good outcomes


def test_field_names_with_braces_are_escaped_as_pyairtable_does(opened: Open) -> None:
    server, client = opened()
    for name in ("a}b", "c{d", "it's"):
        server.person.add_column(JOBS, name)
        server.person.add(JOBS, {"Run ID": name, name: "x"})
        found = client.list(JOBS, filterByFormula=str(formulas.match({name: "x"})))
        assert [record["fields"]["Run ID"] for record in found] == [name]
