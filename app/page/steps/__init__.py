"""The steps of the page, one module each."""
