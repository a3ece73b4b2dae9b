"""DuckDB SQL in the words of other engines."""
