"""The asyncio shell: the only modules of the package that open sockets and start tasks."""
