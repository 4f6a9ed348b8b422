"""Records, the operator interface, errors, arrays, seeds, events and the kernel cache."""
