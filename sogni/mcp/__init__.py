"""A server of the Model Context Protocol: images, video, music and speech as tools for agents.

`sogni mcp` runs it. It requires the extra `mcp`, and uses only the public API of `sogni_async`.
"""
