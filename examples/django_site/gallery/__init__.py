"""A gallery of images that visitors ask for."""
