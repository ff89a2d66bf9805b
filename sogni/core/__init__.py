"""The client's logic without I/O: values, state machines, and operations written as generators (`flow`)."""
