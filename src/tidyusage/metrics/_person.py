"""SQL for the person behind a record's user, and for users that are not people.

A person is an e-mail address, trimmed and in lower case.  A record without one takes the single
address that the frame shows for the same `user.id`.  Plain numbers are ids within one product
only.  A record that neither gives an address is the person of its own `user.id`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from tidyusage._utils.sql import literal, trimmed
from tidyusage.errors import OptionError

if TYPE_CHECKING:
    from collections.abc import Iterable

# The dimension, and the column that `with_person` writes.
COLUMN: Final = "person"
# The person in a query, and the caller's own column of that name.
PERSON: Final = "tu__person"
OWN: Final = "tu__own_person"
FIELDS: Final = ("product.id", "user.id", "user.email", "user.name")

# API keys as vendors write them.  They have a digit, which a login that begins alike need not have.
KEY: Final = r"^(sk|pk|rk|gsk|xai|ghp|pat)[-_]\S*\d\S*$"
# What only a machine's address has.
MACHINE: Final = (
    r"@([a-z0-9-]+\.)*gserviceaccount\.com$|\[bot\]@"
    r"|^(svc|service[-_.]?account|api[-_.]?key)[-_.+@]"
)
_PLACES: Final = (
    "prod|production|staging|stage|dev|test|ci|cd|live|backend|server|deploy|build|batch|cron"
    "|shared|default"
)
# Names that people give to keys and machines.  "Key" and "Bot" are surnames too: alone, or after a
# first name, they prove nothing.
WORDS: Final = (
    r"^(api[-_ ]?key|key|svc[-_]?acct|serviceaccount)[-_:]\S",
    r"(^|[^a-z])api[-_ .]?(key|token)s?([^a-z]|$)",
    r"(^|[^a-z])service[-_ .]?(account|principal)s?([^a-z]|$)",
    r"\[bot\]$|^\S+[-_](bot|key|token)$",
    rf"^(\S+[-_ ])?({_PLACES})[-_. ]+(key|token|bot)$",
)
# What a row says of its user, as SQL; mostly nulls, which cost little to compare.  The product
# matters to ids that may be numbers: in whatever collation, digits are before letters.  The name
# matters to users who may be keys, and only where there is no address.
IDENTITY: Final = {
    "tu__product": """case when "user.id" < 'A' then "product.id" end""",
    "tu__id": '"user.id"',
    "tu__email": '"user.email"',
    "tu__name": """case when "user.email" like '%@%' then null else "user.name" end""",
}
# An e-mail address that `anonymise=` has hidden is 64 hexadecimal digits.
_PSEUDONYM: Final = 64


def checked(people: Mapping[str, str] | None) -> Mapping[str, str] | None:
    """Return ``people`` by names in lower case; raise if it is not a mapping from text to text."""
    if people is None:
        return None
    if not isinstance(people, Mapping) or not all(
        isinstance(text, str) for pair in people.items() for text in pair
    ):
        raise OptionError("people= maps text to text.", "Give {'ada@example.com': 'Ada', …}.")
    return {name.strip().lower(): who for name, who in people.items()} or None


def steps(
    source: str,
    people: Mapping[str, str] | None = None,
    *,
    own: bool = False,
    is_keyed: bool = False,
) -> str:
    """Return the steps from rows with `FIELDS` to ``persons``: the person of each identity.

    There are far fewer identities than rows, so the text functions run here.  Where rows are
    ``is_keyed``, they have an `IDENTITY` already.  With ``own``, they have the caller's column of
    persons as `OWN`, which only ``people`` changes.
    """
    keys = _keys(own=own, is_keyed=is_keyed)
    spelled = [f"coalesce({sql}, '') as {name}" for name, sql in keys.items()]
    return f"""user_identities as (
  select distinct {", ".join(spelled)}
  from {source}
),
user_addresses as (
  select *, {_address("tu__id", "tu__email")} as tu__address,
    nullif({trimmed("tu__id")}, '') as tu__user,
    nullif(lower({trimmed("tu__email")}), '') as tu__mail,
    {_scope("tu__id", "tu__product")} as tu__scope
  from user_identities
),
shown_addresses as (
  select *, min(tu__address) over (partition by tu__user, tu__scope) as tu__least,
    max(tu__address) over (partition by tu__user, tu__scope) as tu__most
  from user_addresses
),
resolved_users as (
  select *, coalesce(tu__address, case when tu__user is not null and tu__least = tu__most
    then tu__least end) as tu__resolved
  from shown_addresses
),
{_persons(people, own=own)}"""


def matched(row: str, *, own: bool = False, is_keyed: bool = False) -> str:
    """Return the test of a row's identity and that of ``persons``."""
    keys = _keys(row, own=own, is_keyed=is_keyed)
    tests = (f"coalesce({sql}, '') = persons.{name}" for name, sql in keys.items())
    return "\n    and ".join(tests)


def _keys(row: str = "", *, own: bool, is_keyed: bool) -> dict[str, str]:
    """Return the SQL of a row's identity."""
    at = f"{row}." if row else ""
    keys = {name: f"{at}{name}" for name in IDENTITY} if is_keyed else dict(IDENTITY)
    return keys | ({OWN: f"{at}{OWN}"} if own else {})


def is_key(user: str, mail: str, name: str, address: str) -> str:
    """Return the SQL of whether a user is an API key or a service account.

    A key's id is one whoever owns it.  Names are looked at only where there is no address.
    """
    named = " or ".join(
        _matches(text, (KEY, *WORDS)) for text in (f"lower({user})", mail, f"lower({name})")
    )
    return (
        f"({_matches(f'lower({user})', (KEY,))} or {_matches(address, (MACHINE,))}"
        f" or (coalesce({address}, '') = '' and ({named})))"
    )


def _persons(people: Mapping[str, str] | None, *, own: bool) -> str:
    """Return the steps from the identities with their addresses to ``persons``."""
    kept = ", ".join((*IDENTITY, *([OWN] * own)))
    key = is_key("tu__user", "tu__mail", trimmed("tu__name"), "tu__resolved")
    who = (
        f"nullif({trimmed(OWN)}, '')"
        if own
        else f"case when not {key} then coalesce(tu__resolved, tu__user, tu__mail) end"
    )
    if not people:
        return f"""persons as (
  select {kept}, {who} as {PERSON}
  from resolved_users
)"""
    cases = " ".join(f"when {literal(name)} then {literal(to)}" for name, to in people.items())
    given = [f"case {text} {cases} end" for text in ("tu__mail", "lower(tu__user)")]
    return f"""ruled_users as (
  select {kept}, {who} as tu__who, coalesce({", ".join(given)}) as tu__given
  from resolved_users
),
joined_users as (
  select *, min(tu__given) over (partition by tu__who) as tu__least,
    max(tu__given) over (partition by tu__who) as tu__most
  from ruled_users
),
persons as (
  select {kept}, coalesce(tu__given, case lower(tu__who) {cases} end,
    case when tu__who is not null and tu__least = tu__most then tu__least end, tu__who) as {PERSON}
  from joined_users
)"""


def _address(id_: str, email: str) -> str:
    """Return the SQL of the address that a row itself gives, null if there is none."""
    mail, user = (f"lower({trimmed(text)})" for text in (email, id_))
    hidden = f"length({mail}) = {_PSEUDONYM} and trim(both '0123456789abcdef' from {mail}) = ''"
    return (
        f"case when {mail} like '%@%' or ({hidden}) then {mail} "
        f"when {user} like '%_@_%' and {user} not like '% %' then {user} end"
    )


def _scope(id_: str, product: str) -> str:
    """Return the SQL of where an id means one user: in its product if it is a plain number."""
    return f"case when trim(both '0123456789' from {trimmed(id_)}) = '' then {product} else '' end"


def _matches(text: str, patterns: Iterable[str]) -> str:
    """Return the SQL of whether a text in lower case fits a pattern; false for null."""
    whole = "|".join(f"({pattern})" for pattern in patterns)
    return f"coalesce(regexp_matches({text}, {literal(whole)}), false)"
