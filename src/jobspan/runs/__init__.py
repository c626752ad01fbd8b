"""Live runs: handles, scopes, the context they are found by, and loops over many clients."""
