"""Redis and NATS at the registry's work, beside the registry; see `__main__`."""
