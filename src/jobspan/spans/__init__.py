"""Runs as OpenTelemetry spans: attribute names, our own span object, exporting off the caller's path."""
