"""Methods that turn a clip into a 4D asset."""
