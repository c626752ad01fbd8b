"""A strict Airtable-compatible HTTP server on loopback, for tests; standard library only.

It knows Airtable's rules (limits with lock-out, quotas, schema, upsert semantics, computed columns,
error bodies, formulas) and breaks in the ways networks break. Run it by itself with
``python -m jobspan.testing.airtable --port 8765``; its first line of output is JSON with `url`,
`base_id` and `token`.
"""

from jobspan.testing.airtable.fault import Fault
from jobspan.testing.airtable.observation import SeenRequest
from jobspan.testing.airtable.person import Person
from jobspan.testing.airtable.server import AirtableServer

__all__ = ["AirtableServer", "Fault", "Person", "SeenRequest"]
