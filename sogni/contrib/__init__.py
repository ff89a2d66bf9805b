"""Integrations with frameworks. Each requires an extra of its own."""
