"""What is said on the wire and what it means: values and state machines without any I/O."""
