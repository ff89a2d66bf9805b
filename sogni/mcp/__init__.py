"""A server of the Model Context Protocol: images, video, music and speech as tools for agents.

`sogni mcp` runs it. It needs the extra `mcp`, and is built on the public API of `sogni_async` alone.
"""
