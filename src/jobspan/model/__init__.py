"""What a run is: pure values and functions; no clock, no input or output, no logging."""
