"""Every field of a Usage record, declared once.

Everything else that knows a field's name, type, unit or rule of addition derives it from
`FIELDS`: the engines' schemas, the SQL, the long format, the documentation's table of fields,
the sample records.  A field that the API gains is one line here.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final, Literal, cast

Dtype = Literal["string", "number", "boolean", "timestamp", "counts", "json"]
Kind = Literal["key", "dimension", "time", "measure", "attribute", "raw"]
Addition = Literal["sum", "within", "never"]
Vendor = Literal["claude", "codex", "cursor", "confluent", "datadog"]


@dataclass(frozen=True, slots=True)
class Field:
    """One leaf of the schema.

    ``dtype`` "counts" is an open object whose numbers are counts, "json" an opaque object.
    ``part_of`` names the field that contains this one; fields of one ``partition`` add up to
    it exactly, others merely stay below it.
    """

    path: str
    dtype: Dtype
    kind: Kind
    description: str
    unit: str | None = None
    addition: Addition = "never"
    part_of: str | None = None
    partition: str | None = None
    required: bool = False
    values: tuple[str, ...] = ()
    vendors: tuple[Vendor, ...] = ()

    @property
    def column(self) -> str:
        """The dotted name of the field's column."""
        return self.path.replace("[]", "")

    @property
    def keys(self) -> tuple[str, ...]:
        """The keys that lead to the field, from the record inwards."""
        return tuple(self.column.split("."))

    @property
    def parent_list(self) -> str | None:
        """The list that holds the field, or None for a field of the record itself."""
        head, brackets, _ = self.path.partition("[]")
        return head if brackets else None


# Raised when a column of ours changes its name or its meaning.
VERSION: Final = 1

CHARGE_TYPES: Final = (
    "total",
    "net",
    "on_demand",
    "committed",
    "included",
    "usage_based",
    "discount",
    "tax",
    "credit",
    "platform_fee",
)

_AI: Final[tuple[Vendor, ...]] = ("claude", "codex", "cursor")
_METERED: Final[tuple[Vendor, ...]] = ("confluent", "datadog")
_ALL: Final[tuple[Vendor, ...]] = (*_AI, *_METERED)


def _dimension(
    path: str, description: str, vendors: tuple[Vendor, ...], *, required: bool = False
) -> Field:
    return Field(path, "string", "dimension", description, required=required, vendors=vendors)


def _count(
    path: str,
    unit: str,
    description: str,
    *vendors: Vendor,
    part_of: str | None = None,
    partition: str | None = None,
) -> Field:
    return Field(
        f"usage.{path}",
        "number",
        "measure",
        description,
        unit=unit,
        addition="sum",
        part_of=part_of and f"usage.{part_of}",
        partition=partition,
        vendors=vendors,
    )


def _distinct(
    path: str, unit: str, description: str, *vendors: Vendor, part_of: str | None = None
) -> Field:
    return Field(
        f"usage.{path}",
        "number",
        "measure",
        description,
        unit=unit,
        part_of=part_of and f"usage.{part_of}",
        vendors=vendors,
    )


def _attribute(path: str, description: str, *vendors: Vendor) -> Field:
    return Field(f"usage.{path}", "string", "attribute", description, vendors=vendors)


def _flag(path: str, description: str, *vendors: Vendor) -> Field:
    return Field(f"usage.{path}", "boolean", "measure", description, unit="flag", vendors=vendors)


def _time(path: str, description: str) -> Field:
    return Field(path, "timestamp", "time", description, vendors=_ALL)


# fmt: off
FIELDS: Final[tuple[Field, ...]] = (
    Field("id", "string", "key", "Identifies the record.", required=True, vendors=_ALL),
    _dimension("product.id", "Identifies the product that was used.", _ALL, required=True),
    _dimension("product.name", "The product's name.", _ALL),
    _dimension("metric_name", "What the charge is metered on, such as a line type.", _METERED),
    _dimension("resources[].id", "Identifies a resource that the usage belongs to.", _METERED),
    _dimension("resources[].name", "The resource's name.", _METERED),
    _dimension("resources[].workspace.id", "Identifies the resource's workspace.", _METERED),
    _dimension("resources[].workspace.name", "The workspace's name.", _METERED),
    _dimension("organization.id", "Identifies the organization that pays.", _ALL, required=True),
    _dimension("organization.name", "The organization's name.", _ALL),
    _dimension("user.id", "Identifies the user in the source; absent on aggregate rows.", _AI),
    _dimension("user.email", "The user's main e-mail address.", _AI),
    _dimension("user.name", "The name that the source shows for the user.", _AI),
    _dimension("model.id", "The AI model, such as claude-sonnet-4-6 or gpt-5.", _AI),
    _dimension("model.provider", "Who hosts the model, such as anthropic or openai.", _AI),
    Field("charges[].amount", "number", "measure", "An amount of money; a record's charges are overlapping views of one cost.", unit="currency", addition="within", vendors=_ALL),
    Field("charges[].currency", "string", "attribute", "The currency of the amount: ISO 4217, or a virtual one such as credits.", vendors=_ALL),
    Field("charges[].type", "string", "attribute", "Which view of the cost the amount is.", values=CHARGE_TYPES, vendors=_ALL),
    Field("usage.quantity", "number", "measure", "A metered quantity, counted in usage.unit.", unit="usage.unit", addition="within", vendors=_METERED),
    _attribute("unit", "The unit of usage.quantity, such as GB or hour.", *_METERED),
    _count("requests.total", "requests", "All requests.", *_AI),
    _count("requests.chat", "requests", "Requests of chat.", *_AI, part_of="requests.total", partition="kind"),
    _count("requests.agent", "requests", "Requests of an agent.", *_AI, part_of="requests.total", partition="kind"),
    _count("requests.composer", "requests", "Requests of the composer.", "cursor", part_of="requests.total", partition="kind"),
    _count("requests.cmdk", "requests", "Inline edits (Cmd+K).", "cursor", part_of="requests.total", partition="kind"),
    _count("requests.tab_shown", "suggestions", "Tab completions that were shown.", "cursor"),
    _count("requests.tab_accepted", "suggestions", "Tab completions that were accepted.", "cursor", part_of="requests.tab_shown"),
    _count("requests.api_key", "requests", "Requests on the user's own API key.", "cursor", part_of="requests.total", partition="billing"),
    _count("requests.included", "requests", "Requests that the subscription covers.", "cursor", part_of="requests.total", partition="billing"),
    _count("requests.usage_based", "requests", "Requests that are billed by use.", "cursor", part_of="requests.total", partition="billing"),
    _count("requests.bugbot", "requests", "Requests of the review bot.", "cursor", part_of="requests.total", partition="kind"),
    _distinct("sessions.distinct", "sessions", "Different sessions within the window.", "claude"),
    _count("sessions.dispatch_turns", "turns", "Turns of work dispatched to the background.", "claude"),
    _distinct("conversations.distinct", "conversations", "Different conversations within the window.", "claude"),
    _count("conversations.message_count", "messages", "Messages sent.", "claude"),
    _count("conversations.thinking_message_count", "messages", "Messages with extended thinking.", "claude", part_of="conversations.message_count"),
    _count("conversations.shared_viewed_count", "conversations", "Shared conversations that were viewed.", "claude"),
    _count("conversations.turn_count", "turns", "Turns taken.", "codex"),
    _count("conversations.thread_count", "threads", "Threads started.", "codex"),
    _count("code.lines_added", "lines", "Lines of code added.", *_AI),
    _count("code.lines_removed", "lines", "Lines of code removed.", *_AI),
    _count("code.lines_accepted_added", "lines", "Suggested lines added after acceptance.", "cursor", part_of="code.lines_added"),
    _count("code.lines_accepted_removed", "lines", "Suggested lines removed after acceptance.", "cursor", part_of="code.lines_removed"),
    _count("code.applies", "edits", "Suggested edits that were applied.", "cursor"),
    _count("code.accepts", "edits", "Applied edits that were accepted.", "cursor", part_of="code.applies"),
    _count("code.rejects", "edits", "Applied edits that were rejected.", "cursor", part_of="code.applies"),
    _count("code.commits", "commits", "Commits made with the tool.", "claude"),
    _count("code.pull_requests", "pull requests", "Pull requests made with the tool.", "claude"),
    Field("usage.code.tool_actions", "counts", "measure", "Counts by tool and action, such as edit_tool.accepted.", unit="actions", addition="sum", vendors=("claude",)),
    _attribute("code.file_extensions.apply_most_used", "The file extension applied to most; a mode, not a key.", "cursor"),
    _attribute("code.file_extensions.tab_most_used", "The file extension completed most; a mode, not a key.", "cursor"),
    _count("tokens.input", "tokens", "Input tokens; whether cached ones are inside differs by vendor.", *_AI, part_of="tokens.total", partition="token"),
    _count("tokens.output", "tokens", "Output tokens.", *_AI, part_of="tokens.total", partition="token"),
    _count("tokens.cache_read", "tokens", "Tokens read from the prompt cache.", *_AI, part_of="tokens.total", partition="token"),
    _count("tokens.cache_write", "tokens", "Tokens written to the prompt cache, at any lifetime.", "claude", "cursor", part_of="tokens.total", partition="token"),
    _count("tokens.cache_write_ephemeral_5m", "tokens", "Cache writes that live five minutes.", "claude", part_of="tokens.cache_write", partition="lifetime"),
    _count("tokens.cache_write_ephemeral_1h", "tokens", "Cache writes that live an hour.", "claude", part_of="tokens.cache_write", partition="lifetime"),
    _count("tokens.total", "tokens", "All tokens, as the vendor adds them up.", *_AI),
    _count("tools.web_search_count", "searches", "Web searches.", "claude"),
    _count("tools.connectors_used_count", "uses", "Uses of connectors.", "claude"),
    _distinct("tools.distinct_connectors_used_count", "connectors", "Different connectors used.", "claude", part_of="tools.connectors_used_count"),
    _count("tools.skills_used_count", "uses", "Uses of skills.", "claude"),
    _distinct("tools.distinct_skills_used_count", "skills", "Different skills used.", "claude", part_of="tools.skills_used_count"),
    _count("tools.action_count", "actions", "Actions taken by tools.", "claude"),
    _flag("activity.is_active", "Whether the vendor counts the user as active.", "cursor"),
    _flag("activity.max_mode", "Whether the largest context was switched on.", "cursor"),
    _attribute("activity.client_version", "The version of the client.", "cursor"),
    _time("start_date", "Where the record's window begins (inclusive)."),
    _time("end_date", "Where the record's window ends (exclusive for most vendors)."),
    _time("created_at", "When the figure was first made."),
    _time("updated_at", "When the figure was last changed."),
    _dimension("surface", "The product's surface, such as chat, cli or api; absent on aggregate rows.", _AI),
    Field("remote_data", "json", "raw", "The vendor's own object, untouched.", vendors=_ALL),
)
# fmt: on

BY_PATH: Final = {field.path: field for field in FIELDS}
TOOL_ACTIONS: Final = BY_PATH["usage.code.tool_actions"]
REMOTE_DATA: Final = BY_PATH["remote_data"]
# What a fetched record is marked with: it is no part of the schema, and of a frame only where
# records have it.
SOURCE: Final = (
    Field("source.account", "string", "dimension", "Integrated account that was asked"),
    Field("source.report_type", "string", "dimension", "Report that was asked for"),
)
SOURCE_COLUMNS: Final = tuple(field.column for field in SOURCE)
# What tells a record from all others.
IDENTITY: Final = (*SOURCE_COLUMNS, "id")

SCALARS: Final = tuple(
    field for field in FIELDS if not field.parent_list and field.dtype not in {"counts", "json"}
)
DIMENSIONS: Final = tuple(field for field in SCALARS if field.kind == "dimension")
MEASURES: Final = tuple(field for field in SCALARS if field.kind == "measure")
LISTS: Final = {
    name: tuple(field for field in FIELDS if field.parent_list == name)
    for name in dict.fromkeys(field.parent_list for field in FIELDS if field.parent_list)
}
CHARGE_AMOUNTS: Final = tuple(f"charges.{type_}" for type_ in CHARGE_TYPES)
CHARGE_COLUMNS: Final = (*CHARGE_AMOUNTS, "charges.currency")

Tree = dict[str, "Field | Tree | list[Tree]"]


def tree(fields: tuple[Field, ...] = FIELDS) -> Tree:
    """Return the fields nested as a record nests them; a list is a list of its one entry."""
    root: Tree = {}
    for field in fields:
        node: Any = root
        for step in field.path.split(".")[:-1]:
            if step.endswith("[]"):
                node = node.setdefault(step[:-2], [{}])[0]
            else:
                node = node.setdefault(step, {})
        node[field.keys[-1]] = field
    return root


def entry(name: str) -> Tree:
    """Return the fields of the entries of a list of the record, nested."""
    (fields,) = cast("list[Tree]", tree(LISTS[name])[name])
    return fields


def objects(node: Tree | None = None, prefix: str = "") -> Iterator[tuple[str, Tree, bool]]:
    """Yield path, children and whether it is a list, of every object and list that holds fields."""
    for key, child in (tree() if node is None else node).items():
        if isinstance(child, Field):
            continue
        is_list = isinstance(child, list)
        inner = child[0] if isinstance(child, list) else child
        path = f"{prefix}{key}"
        yield path, inner, is_list
        yield from objects(inner, f"{path}{'[]' if is_list else ''}.")
