"""Job and client-run records that open, add up and close by themselves."""
