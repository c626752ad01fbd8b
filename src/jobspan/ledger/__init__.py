"""The ledger: the embedded database all journals fold into; the single source of truth."""
