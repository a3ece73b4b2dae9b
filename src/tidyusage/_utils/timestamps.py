"""The text form of dates: a pattern, and SQL that parses it."""

from typing import Final

# A date, or a date with a time and maybe an offset.
TIMESTAMP: Final = (
    r"\d{4}-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])"
    r"([Tt ]([01]\d|2[0-3]):[0-5]\d(:[0-5]\d(\.\d+)?)?([Zz]|[+-]([01]\d|2[0-3])(:?[0-5]\d)?)?)?"
)


def timestamp_sql(x: str) -> str:
    """Return the instant of a date's text; text without a zone is UTC, whatever the session's."""
    return f"""case
      when ends_with({x}, 'Z') then try_cast(upper({x}) as timestamptz)
      when length({x}) = 10 then try_cast({x} || ' 00:00:00Z' as timestamptz)
      when regexp_matches({x}, '[Zz]$|[+-]\\d\\d(:?\\d\\d)?$')
        then try_cast(upper({x}) as timestamptz)
      else try_cast(upper({x}) || 'Z' as timestamptz) end"""
