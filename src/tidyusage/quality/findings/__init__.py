"""What is legal in a frame but suspect, by subject; each check is SQL with a name."""
