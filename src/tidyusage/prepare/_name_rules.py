"""Names of models: what each is called, and how vendors write it otherwise.

A table, and rules that are exact: a prefix that is known, a suffix that is a real date.  A name
is never matched by likeness, since a model that is taken for another is priced as that one.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Final

from tidyusage._utils.sql import listed, literal, trimmed, values

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_CLAUDE: Final[dict[str, tuple[str, ...]]] = {
    "opus": ("3", "4", "4.1", "4.5", "4.6", "4.7", "4.8", "5", "5.5"),
    "sonnet": ("3", "3.5", "3.7", "4", "4.5", "4.6", "5", "5.5"),
    "haiku": ("3", "3.5", "4.5", "5.5"),
    "fable": ("5", "5.1", "5.2"),
    "mythos": ("5.2",),
}
# As their makers write them, without a date.
_OTHERS: Final = """
claude-2.0 claude-2.1 claude-instant-1.2
gpt-3.5-turbo gpt-4 gpt-4-turbo gpt-4.1 gpt-4.1-mini gpt-4.1-nano gpt-4.5-preview gpt-4o gpt-4o-mini
gpt-5 gpt-5-chat gpt-5-codex gpt-5-codex-mini gpt-5-mini gpt-5-nano gpt-5-pro gpt-5.1 gpt-5.1-chat
gpt-5.1-codex gpt-5.1-codex-max gpt-5.1-codex-mini gpt-5.2 gpt-5.2-chat gpt-5.2-codex gpt-5.2-pro
gpt-5.3 gpt-5.3-chat gpt-5.3-codex gpt-5.4 gpt-5.4-mini gpt-5.4-nano gpt-5.4-pro gpt-5.5 gpt-5.5-pro
gpt-5.6-luna gpt-5.6-sol gpt-5.6-terra gpt-6-astra gpt-6-luna gpt-6-sol gpt-6.1-sol gpt-6.1-terra
gpt-oss-120b gpt-oss-20b chatgpt-4o-latest codex-mini o1 o1-mini o1-preview o1-pro o3 o3-mini o3-pro
o4-mini
gemini-2.0-flash gemini-2.0-flash-lite gemini-2.5-flash gemini-2.5-flash-lite gemini-2.5-pro
gemini-3-flash-preview gemini-3-pro-preview gemini-3.1-flash-lite gemini-3.1-pro-preview
gemini-3.5-flash gemini-3.5-flash-lite gemini-3.6-flash gemini-3.7-flash gemini-3.8-flash
grok-3 grok-3-mini grok-4 grok-4-fast-non-reasoning grok-4-fast-reasoning grok-4.3 grok-4.5 grok-4.6
grok-4.7 grok-code-fast-1
deepseek-chat deepseek-reasoner kimi-k2 kimi-k2-thinking kimi-k2.5 kimi-k2.6 kimi-k3
composer-1 composer-1.5 composer-2 composer-2-fast cursor-small
"""
# Cursor's words for a model that it chooses itself: no model, and no unknown one.
_CHOSEN_BY_VENDOR: Final = ("auto", "default")
_ALIASES: Final = {
    "claude-v2": "claude-2.0",
    "claude-v2:1": "claude-2.1",
    "claude-2": "claude-2.0",
    "claude-instant-v1": "claude-instant-1.2",
    "gpt-3.5-turbo-0125": "gpt-3.5-turbo",
    "gpt-3.5-turbo-1106": "gpt-3.5-turbo",
    "gpt-4-0613": "gpt-4",
    "gpt-4-1106-preview": "gpt-4-turbo",
    "gpt-4-0125-preview": "gpt-4-turbo",
    "gpt-oss-120b-1:0": "gpt-oss-120b",
    "gpt-oss-20b-1:0": "gpt-oss-20b",
    "grok-4-0709": "grok-4",
}
_PREFIXES: Final = (
    "anthropic|azure|azure_ai|bedrock|converse|cursor|deepseek|gemini|github_copilot|google|models|"
    "moonshotai|openai|openrouter|publishers|vertex_ai|vertex_ai_beta|x-ai|xai"
)
_REGIONS: Final = "ap|apac|au|ca|eu|global|jp|us|us-gov"
# How hard a model is told to think is a setting of it, which these two makers' users see as a name.
_SETTINGS: Final = "(-(thinking|minimal|low|medium|high|xhigh))+$"
_DATE: Final = r"[-@](20\d{6}|20\d{2}-\d{2}-\d{2})$"


@cache
def known() -> dict[str, str]:
    """Return every spelling in the table, in lower case, with the one name it stands for."""
    found = {name: name for name in (*_OTHERS.split(), *_CHOSEN_BY_VENDOR)}
    for family, versions in _CLAUDE.items():
        for version in versions:
            dashed = version.replace(".", "-")
            first, last = f"claude-{dashed}-{family}", f"claude-{family}-{dashed}"
            name = first if version.startswith("3") else last
            spellings = {first, last, f"claude-{version}-{family}", f"claude-{family}-{version}"}
            if version == "4":
                spellings.add(f"{last}-0")
            found |= dict.fromkeys(spellings, name)
    return found | _ALIASES


def steps(aliases: Mapping[str, str], *, dated: bool, keys: Iterable[str] = ()) -> str:
    """Return the steps from ``names`` to ``renamed``: each ``name``, its ``model``, the ``rule``.

    What matches nothing has neither.  ``keys`` are further columns of ``names`` to keep.
    """
    kept = listed("name", *keys)
    prefix = literal(f"^(({_PREFIXES})/)+")
    bedrock = literal(rf"^(({_REGIONS})\.)?(anthropic|openai)\.")
    digits = "replace(tu__date, '-', '')"
    ends = literal(r"([-@]latest|@default)$")
    looked_up = ("tu__name", "tu__bare", "tu__plain", "tu__short", "tu__unversioned", "tu__unset")
    found = ", ".join(f"tu__known[lower({name})]" for name in looked_up)
    named = "coalesce(tu__found, case when tu__short <> tu__name then tu__short end)"
    with_date = "" if dated else " || coalesce('-' || tu__date, '')"
    return f"""tables as (
  select {_map(known())} as tu__known, {_map(aliases)} as tu__given,
    [{values(dict.fromkeys(aliases.values()))}]::varchar[] as tu__targets
),
bare as (
  select {kept}{trimmed("name")} as tu__name,
    regexp_replace(regexp_replace({trimmed("name")}, {prefix}, '', 'i'), {bedrock}, '', 'i')
      as tu__bare
  from names
),
plain as (
  select *, regexp_replace(tu__bare, '-v[0-9]+(:[0-9]+k?)+$', '') as tu__plain
  from bare
),
dates as (
  select *, nullif(regexp_extract(tu__plain, {literal(_DATE)}, 1), '') as tu__date
  from plain
),
short as (
  select * replace (case when try_strptime({digits}, '%Y%m%d') is not null then tu__date end
      as tu__date),
    case when try_strptime({digits}, '%Y%m%d') is not null
      then regexp_replace(tu__plain, {literal(_DATE)}, '')
      else regexp_replace(tu__plain, {ends}, '')
    end as tu__short
  from dates
),
unversioned as (
  select *, regexp_replace(tu__short, '-v[0-9]+$', '') as tu__unversioned
  from short
),
unset as (
  select *,
    case when regexp_matches(tu__short, '^(claude|gpt)-', 'i')
      then regexp_replace(tu__short, {literal(_SETTINGS)}, '', 'i')
    end as tu__unset
  from unversioned
),
found as (
  select unset.*, tables.*, coalesce({found}) as tu__found
  from unset, tables
),
spelled as (
  select *, {named}{with_date} as tu__spelled
  from found
),
decided as (
  select *,
    coalesce(tu__given[name], case when list_contains(tu__targets, name) then name end,
      tu__given[tu__spelled]) as tu__alias
  from spelled
),
renamed as (
  select {kept}coalesce(tu__alias, tu__spelled) as model,
    case
      when tu__alias is not null then 'alias'
      when tu__spelled = name then 'known'
      when name in (tu__spelled || '-' || tu__date, tu__spelled || '@' || tu__date) then 'date'
      when tu__spelled is not null then 'vendor'
    end as rule
  from decided
)"""


def _map(pairs: Mapping[str, str]) -> str:
    """Write a mapping of texts as DuckDB's."""
    if not pairs:
        return "cast(map() as map(varchar, varchar))"
    return f"map([{values(pairs)}], [{values(pairs.values())}])"
