"""What tests of jobs need: a strict Airtable server on loopback and pytest fixtures.

Nothing is imported here: take `jobspan.testing.airtable.AirtableServer`, or let pytest find the
fixtures of `jobspan.testing.plugin`.
"""
