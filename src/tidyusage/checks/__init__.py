"""Whether a frame can be trusted: schemas, findings, what changed between two pulls."""

__all__: list[str] = []
