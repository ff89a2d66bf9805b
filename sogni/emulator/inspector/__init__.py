"""The inspector: a page that shows what an emulator does, live, and makes things go wrong at a click."""
