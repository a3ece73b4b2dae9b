"""The only code that knows which library a frame belongs to."""
