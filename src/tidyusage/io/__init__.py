"""Reading usage records: files, API pages and Python objects."""
