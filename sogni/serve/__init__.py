"""A local server that speaks the OpenAI API, for programs that already do: `sogni serve`. Requires the extra `serve`.

It is built on the public API of `sogni_async`. Other than the command, nothing here is public.
"""
