"""Decorated callables: what wraps a function so that each call of it is a run."""
