"""Airtable as a destination: columns, schema, whose row it is, and the one client that speaks to it."""
