"""The relay: the one sender that shows changed records at a destination, paced and coalesced."""
