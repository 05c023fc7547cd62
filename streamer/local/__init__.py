"""All stages in one go, as child processes."""
