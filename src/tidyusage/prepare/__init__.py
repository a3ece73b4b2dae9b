"""What is done to a frame before it is measured; each gives back a frame of the same library."""

__all__: list[str] = []
