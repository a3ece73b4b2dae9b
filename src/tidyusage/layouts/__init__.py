"""Between wide, long and child tables, and back from other tools."""
