"""Events of the trigger tasks: what their columns are, and their files."""
