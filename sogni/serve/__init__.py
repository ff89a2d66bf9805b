"""A local server with the OpenAI API, for programs that already use that API: `sogni serve`.

Requires the extra `serve`. Built on the public API of `sogni_async`. Only the command is public, not the modules.
"""
