"""What the five vendors' documented responses become, worked out by hand.

The comments name the response that a figure is from and how it was made; `data/README.md` names
the responses' sources.  Each record lists what it says (`ABOUT`) and what it counts (`VALUES`,
with the unit); whatever is not listed must be null, in wide, and have no row, in long.
"""

import json
from datetime import UTC, datetime
from math import fsum
from pathlib import Path

import pytest

import tidyusage as tu
from conftest import present, rows

DATA = Path(__file__).parent / "data"
NESTED = ("resources", "charges", "usage.code.tool_actions")


def utc(text):
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


CLAUDE = {"product.id": "claude", "product.name": "Claude"}
JANE = {
    "user.id": "user_01AbCdEfGhIjKlMnOpQrSt",
    "user.email": "jane@example.com",
    "user.name": "Jane Smith",
    "model.id": "claude-opus-5",
    "model.provider": "anthropic",
    "updated_at": utc("2026-03-05T12:00:00"),  # data_refreshed_at
    "surface": "chat",
}
MARCH_4 = {"start_date": utc("2026-03-04"), "end_date": utc("2026-03-05")}

# 1759276800 s = 20362 days of 86400 s after 1970-01-01 (codex_workspace_usage_rows.json)
CODEX = {
    "product.id": "codex",
    "product.name": "OpenAI Codex",
    "start_date": utc("2025-10-01"),
    "end_date": utc("2025-10-02"),
}
OPENAI = {"product.id": "openai", "product.name": "OpenAI API", "surface": "api"}

# 1710720000000 ms = 19800 days of 86400000 ms after 1970-01-01 (cursor_daily_usage.json)
CURSOR = {"product.id": "cursor", "product.name": "Cursor"}
CURSOR_DAY = {**CURSOR, "start_date": utc("2024-03-18"), "end_date": utc("2024-03-19")}
CURSOR_EVENT = {
    **CURSOR,
    "metric_name": "Usage-based",
    "user.email": "developer@company.com",
    "model.id": "claude-4.5-sonnet",
    "model.provider": "cursor",
    "usage.unit": "request",
    "charges.currency": "USD",
}

JANUARY_1 = {"start_date": utc("2026-01-01"), "end_date": utc("2026-01-02")}

DUMMY_ORG = {
    "organization.id": "fasjyydbcgwwc2uc",
    "organization.name": "RQ Dummy Tests",
    "start_date": utc("2022-04-25T17:00:00"),
}
MY_ORG = {
    "organization.id": "1",
    "organization.name": "my-org",
    "start_date": utc("2023-04-01"),
}
HOST_HOUR = {
    "product.id": "infra_hosts",
    "organization.id": "fasjyydbcgwwc2uc",
    "organization.name": "DD Integration Tests (321813)",
    "start_date": utc("2022-07-16T14:00:00"),
    "end_date": utc("2022-07-16T15:00:00"),
}

ABOUT = {
    "claude": {
        "code-2025-09-01-developer": {
            **CLAUDE,
            "organization.id": "dc9f6c26-b22c-4831-8d01-0446bada88f1",
            "user.email": "developer@company.com",
            "model.id": "claude-sonnet-4-5-20250929",
            "model.provider": "anthropic",
            "charges.currency": "USD",
            "start_date": utc("2025-09-01"),
            "end_date": utc("2025-09-02"),
            "surface": "claude_code",
        },
        # no dates: the response's rows hold none
        "usage-jane-opus": {**CLAUDE, **JANE, "organization.id": "org_example"},
        # organization is {}: absent
        "cost-2026-03-04-jane-opus": {**CLAUDE, **JANE, **MARCH_4, "charges.currency": "USD"},
        # an organization's row: no user
        "cost-2026-03-04-org": {
            **CLAUDE,
            **MARCH_4,
            "metric_name": "output_tokens",
            "model.id": "claude-fable-5",
            "model.provider": "anthropic",
            "charges.currency": "USD",
            "surface": "chat",
        },
        "activity-user_1-claude_code": {
            **CLAUDE,
            "user.id": "user_1",
            "user.email": "dev@example.com",
            "surface": "claude_code",
        },
        "activity-user_1-chat": {
            **CLAUDE,
            "user.id": "user_1",
            "user.email": "dev@example.com",
            "surface": "chat",
        },
    },
    "codex": {
        # user {"id": null, "email": null}, null, and absent: no user each time
        "workspace-2025-10-01": {**CODEX, "usage.unit": "credits"},
        "workspace-2025-10-01-CODEX_CLI": {
            **CODEX,
            "usage.unit": "credits",
            "surface": "CODEX_CLI",
        },
        "workspace-2025-10-01-CODEX_WEB": {
            **CODEX,
            "usage.unit": "credits",
            "surface": "CODEX_WEB",
        },
        "workspace-2025-10-01-gpt-5.5": {
            **CODEX,
            "model.id": "gpt-5.5",
            "model.provider": "openai",
            "charges.currency": "CREDITS",  # "credits" in the record
        },
        "completions-user-abc": {
            **OPENAI,
            "user.id": "user-abc",
            "model.id": "gpt-4o-mini-2024-07-18",
            "model.provider": "openai",
        },
        # 1730419200 s = 20028 days, 1730505600 s = 20029 days (openai_costs.json)
        "costs-2024-11-01": {
            **OPENAI,
            "charges.currency": "USD",  # "usd" in the record
            "start_date": utc("2024-11-01"),
            "end_date": utc("2024-11-02"),
        },
    },
    "cursor": {
        "daily-2024-03-18-12345": {
            **CURSOR_DAY,
            "user.id": "12345",  # the number 12345 in the record
            "user.email": "developer@company.com",
            "model.id": "gpt-5",
            "usage.code.file_extensions.apply_most_used": ".tsx",
            "usage.code.file_extensions.tab_most_used": ".ts",
            "usage.activity.client_version": "0.25.1",
        },
        "daily-2024-03-18-12346": {
            **CURSOR_DAY,
            "user.id": "12346",
            "user.email": "inactive-user@company.com",
        },
        # 1750979225854 ms = 20265 days + 83225.854 s = 2025-06-26 + 23 h 7 min 5.854 s
        "event-1750979225854": {**CURSOR_EVENT, "start_date": utc("2025-06-26T23:07:05.854")},
        # 1750979173824 ms = 20265 days + 83173.824 s = 2025-06-26 + 23 h 6 min 13.824 s
        "event-1750979173824": {**CURSOR_EVENT, "start_date": utc("2025-06-26T23:06:13.824")},
        # 1750978339901 ms = 20265 days + 82339.901 s = 2025-06-26 + 22 h 52 min 19.901 s
        "event-1750978339901": {
            **CURSOR_EVENT,
            "metric_name": "Included in Business",
            "user.email": "admin@company.com",
            "model.id": "claude-4-sonnet-thinking",
            "start_date": utc("2025-06-26T22:52:19.901"),
        },
        # subscriptionCycleStart 1708992000000 ms = 19780 days (cursor_spend.json)
        "spend-2024-02-27-12346": {
            **CURSOR,
            "user.id": "12346",
            "user.email": "admin@company.com",
            "user.name": "Sam",
            "charges.currency": "USD",
            "start_date": utc("2024-02-27"),
        },
    },
    "confluent": {  # no currency anywhere: unknown, not USD
        "dlz-f3a90de": {
            "product.id": "KAFKA",
            "metric_name": "KAFKA_NUM_CKUS",
            "usage.unit": "GB",
            "start_date": utc("2022-10-12"),
            "end_date": utc("2022-10-15"),
        },
        "a-1": {
            **JANUARY_1,
            "product.id": "KAFKA",
            "metric_name": "KAFKA_STORAGE",
            "usage.unit": "GB-hour",
        },
        "a-2": {
            **JANUARY_1,
            "product.id": "SUPPORT_CLOUD_BUSINESS",
            "metric_name": "SUPPORT",
            "usage.unit": "",  # as the vendor writes it; a-3 leaves it out
        },
        "a-3": {**JANUARY_1, "product.id": "KAFKA", "metric_name": "PROMO_CREDIT"},
    },
    "datadog": {  # no currency anywhere
        "2022-04-infra_host": {**DUMMY_ORG, "product.id": "infra_host"},
        "2022-04-synthetics_api_tests": {**DUMMY_ORG, "product.id": "synthetics_api_tests"},
        "2023-04-infra_host": {**MY_ORG, "product.id": "infra_host"},
        "2023-04-fargate_container": {**MY_ORG, "product.id": "fargate_container"},
        "2022-07-16T14-apm_host_count": {
            **HOST_HOUR,
            "metric_name": "apm_host_count",
            "usage.unit": "host",
        },
        "2022-07-16T14-container_count": {
            **HOST_HOUR,
            "metric_name": "container_count",
            "usage.unit": "container",
        },
    },
}

VALUES = {
    "claude": {
        "code-2025-09-01-developer": {  # claude_code_analytics.json
            "usage.sessions.distinct": (5, "sessions"),
            "usage.code.lines_added": (1543, "lines"),
            "usage.code.lines_removed": (892, "lines"),
            "usage.code.commits": (12, "commits"),
            "usage.code.pull_requests": (2, "pull requests"),
            "usage.tokens.input": (100000, "tokens"),
            "usage.tokens.output": (35000, "tokens"),
            "usage.tokens.cache_read": (10000, "tokens"),
            "usage.tokens.cache_write": (5000, "tokens"),  # cache_creation
            "charges.total": (10.25, "USD"),  # 1025 cents / 100
        },
        "usage-jane-opus": {  # claude_enterprise_user_usage_report.json
            "usage.requests.total": (128, "requests"),
            "usage.tokens.input": (1284500, "tokens"),
            "usage.tokens.output": (891000, "tokens"),
            "usage.tokens.cache_read": (3200000, "tokens"),
            "usage.tokens.cache_write": (1500, "tokens"),  # 500 + 1000
            "usage.tokens.cache_write_ephemeral_5m": (500, "tokens"),
            "usage.tokens.cache_write_ephemeral_1h": (1000, "tokens"),
            # 1284500 + 1000 + 500 + 3200000 + 891000 = 5377000
            "usage.tokens.total": (5377000, "tokens"),
            "usage.tools.web_search_count": (10, "searches"),
        },
        "cost-2026-03-04-jane-opus": {  # claude_enterprise_user_cost_report.json
            "usage.requests.total": (128, "requests"),
            "charges.net": (412.80, "USD"),  # 41280 cents / 100
            "charges.total": (516.00, "USD"),  # list_amount: 51600 cents / 100
            "charges.discount": (103.20, "USD"),  # 516.00 - 412.80
        },
        "cost-2026-03-04-org": {  # claude_enterprise_cost_report_org.json
            "charges.net": (27.9918745, "USD"),  # 2799.18745 cents / 100
        },
        "activity-user_1-claude_code": {  # claude_enterprise_users.json
            "usage.sessions.distinct": (0, "sessions"),
            "usage.code.lines_added": (120, "lines"),
            "usage.code.lines_removed": (30, "lines"),
            "usage.code.commits": (3, "commits"),
            "usage.code.pull_requests": (0, "pull requests"),
        },
        "activity-user_1-chat": {  # claude_enterprise_users.json
            "usage.conversations.distinct": (2, "conversations"),
            "usage.conversations.message_count": (7, "messages"),
            "usage.conversations.thinking_message_count": (0, "messages"),
            "usage.conversations.shared_viewed_count": (0, "conversations"),
            "usage.tools.connectors_used_count": (0, "uses"),
            "usage.tools.distinct_connectors_used_count": (0, "connectors"),
            "usage.tools.distinct_skills_used_count": (0, "skills"),
        },
    },
    "codex": {
        "workspace-2025-10-01": {  # codex_workspace_usage_rows.json, totals
            "usage.quantity": (1234, "credits"),  # 800 + 434: contains the two clients
            "usage.conversations.turn_count": (48, "turns"),  # 30 + 18
            "usage.conversations.thread_count": (12, "threads"),  # 8 + 4
            "usage.code.lines_added": (100, "lines"),
            "usage.code.lines_removed": (20, "lines"),
            "usage.tokens.input": (110, "tokens"),  # uncached
            "usage.tokens.output": (55, "tokens"),
            "usage.tokens.cache_read": (220, "tokens"),
            "usage.tokens.total": (385, "tokens"),  # 110 + 220 + 55
        },
        "workspace-2025-10-01-CODEX_CLI": {  # codex_workspace_usage_rows.json, client 1
            "usage.quantity": (800, "credits"),
            "usage.conversations.turn_count": (30, "turns"),
            "usage.conversations.thread_count": (8, "threads"),
            "usage.tokens.input": (110, "tokens"),
            "usage.tokens.output": (55, "tokens"),
            "usage.tokens.cache_read": (220, "tokens"),
            "usage.tokens.total": (385, "tokens"),  # 110 + 220 + 55
        },
        "workspace-2025-10-01-CODEX_WEB": {  # client 2: no tokens, which is not 0 tokens
            "usage.quantity": (434, "credits"),
            "usage.conversations.turn_count": (18, "turns"),
            "usage.conversations.thread_count": (4, "threads"),
        },
        "workspace-2025-10-01-gpt-5.5": {  # codex_workspace_usage_rows.json, models
            "charges.total": (1234, "CREDITS"),
        },
        "completions-user-abc": {  # openai_usage_completions_object.json
            "usage.requests.total": (5, "requests"),
            "usage.tokens.input": (5000, "tokens"),  # 1800 + 200 + 3000: holds the cached ones
            "usage.tokens.output": (1000, "tokens"),
            "usage.tokens.cache_read": (1800, "tokens"),
            "usage.tokens.cache_write": (200, "tokens"),
        },
        "costs-2024-11-01": {  # openai_costs.json, in dollars
            "charges.total": (0.06, "USD"),
        },
    },
    "cursor": {
        "daily-2024-03-18-12345": {  # cursor_daily_usage.json, row 1
            "usage.requests.chat": (128, "requests"),
            "usage.requests.agent": (12, "requests"),
            "usage.requests.composer": (45, "requests"),
            "usage.requests.cmdk": (67, "requests"),
            "usage.requests.tab_shown": (342, "suggestions"),
            "usage.requests.tab_accepted": (289, "suggestions"),
            "usage.requests.api_key": (0, "requests"),
            "usage.requests.included": (180, "requests"),
            "usage.requests.usage_based": (5, "requests"),
            "usage.requests.bugbot": (3, "requests"),
            "usage.code.lines_added": (1543, "lines"),
            "usage.code.lines_removed": (892, "lines"),
            "usage.code.lines_accepted_added": (1102, "lines"),
            "usage.code.lines_accepted_removed": (645, "lines"),
            "usage.code.applies": (87, "edits"),  # 73 + 14
            "usage.code.accepts": (73, "edits"),
            "usage.code.rejects": (14, "edits"),
            "usage.activity.is_active": (True, "flag"),
        },
        "daily-2024-03-18-12346": {  # cursor_daily_usage.json, row 2: inactive, so zeros, not nulls
            "usage.requests.chat": (0, "requests"),
            "usage.requests.agent": (0, "requests"),
            "usage.requests.composer": (0, "requests"),
            "usage.requests.cmdk": (0, "requests"),
            "usage.requests.tab_shown": (0, "suggestions"),
            "usage.requests.tab_accepted": (0, "suggestions"),
            "usage.requests.api_key": (0, "requests"),
            "usage.requests.included": (0, "requests"),
            "usage.requests.usage_based": (0, "requests"),
            "usage.requests.bugbot": (0, "requests"),
            "usage.code.lines_added": (0, "lines"),
            "usage.code.lines_removed": (0, "lines"),
            "usage.code.lines_accepted_added": (0, "lines"),
            "usage.code.lines_accepted_removed": (0, "lines"),
            "usage.code.applies": (0, "edits"),
            "usage.code.accepts": (0, "edits"),
            "usage.code.rejects": (0, "edits"),
            "usage.activity.is_active": (False, "flag"),
        },
        "event-1750979225854": {  # cursor_usage_events.json, event 1
            "usage.quantity": (5, "request"),  # requestsCosts
            "usage.tokens.input": (126, "tokens"),
            "usage.tokens.output": (450, "tokens"),
            "usage.tokens.cache_read": (11964, "tokens"),
            "usage.tokens.cache_write": (6112, "tokens"),
            "usage.tokens.total": (18652, "tokens"),  # 126 + 450 + 6112 + 11964
            "usage.activity.max_mode": (True, "flag"),
            "charges.total": (0.2136232, "USD"),  # (20.18232 + 1.18) cents / 100
            "charges.usage_based": (0.2018232, "USD"),  # 20.18232 cents / 100
            "charges.platform_fee": (0.0118, "USD"),  # 1.18 cents / 100
        },
        "event-1750979173824": {  # cursor_usage_events.json, event 2
            "usage.quantity": (10, "request"),
            "usage.tokens.input": (5805, "tokens"),
            "usage.tokens.output": (311, "tokens"),
            "usage.tokens.cache_read": (0, "tokens"),
            "usage.tokens.cache_write": (11964, "tokens"),
            "usage.tokens.total": (18080, "tokens"),  # 5805 + 311 + 11964 + 0
            "usage.activity.max_mode": (True, "flag"),
            # 37.33 cents / 100; exactly (40.167 - 4.0167 + 1.18) / 100 = 0.373303
            "charges.total": (0.3733, "USD"),
            "charges.usage_based": (0.40167, "USD"),  # 40.167 cents / 100, before the discount
            "charges.discount": (0.040167, "USD"),  # 10 % of 40.167 cents / 100
            "charges.platform_fee": (0.0118, "USD"),
        },
        "event-1750978339901": {  # cursor_usage_events.json, event 3: no tokens, not chargeable
            "usage.quantity": (1.4, "request"),
            "usage.activity.max_mode": (True, "flag"),
            "charges.total": (0.08, "USD"),  # 8 cents / 100
            "charges.included": (0.08, "USD"),
            "charges.platform_fee": (0, "USD"),
        },
        "spend-2024-02-27-12346": {  # cursor_spend.json, row 2
            "charges.total": (32.00, "USD"),  # 3200 cents / 100
            "charges.on_demand": (18.75, "USD"),  # 1875 cents / 100
            "charges.included": (13.25, "USD"),  # (3200 - 1875) cents / 100
        },
    },
    "confluent": {
        "dlz-f3a90de": {  # confluent_costs_doc.json
            "usage.quantity": (99.95, "GB"),
            "charges.total": (99.95, None),
            "charges.discount": (20.95, None),
            "charges.net": (79.0, None),  # 99.95 - 20.95
        },
        "a-1": {  # confluent_costs_mixed_CONSTRUCTED.json, row 1
            "usage.quantity": (25000, "GB-hour"),
            "charges.total": (2.73975, None),
            "charges.discount": (0, None),
            "charges.net": (2.73975, None),
        },
        "a-2": {  # confluent_costs_mixed_CONSTRUCTED.json, row 2
            "usage.quantity": (0, ""),
            "charges.total": (32.26, None),
            "charges.discount": (0, None),
            "charges.net": (32.26, None),
        },
        "a-3": {  # confluent_costs_mixed_CONSTRUCTED.json, row 3
            "usage.quantity": (0, None),
            "charges.credit": (-10, None),
        },
    },
    "datadog": {
        "2022-04-infra_host": {  # datadog_estimated_cost.json, charges 1 and 3
            "charges.committed": (1.17, None),  # 0 + 1.17
        },
        "2022-04-synthetics_api_tests": {  # datadog_estimated_cost.json, charge 2
            "charges.on_demand": (72, None),
        },
        "2023-04-infra_host": {  # datadog_historical_cost.json, row 1, charges 1 to 3
            "charges.committed": (0, None),
            "charges.on_demand": (1, None),
            "charges.total": (1, None),  # 0 + 1
        },
        "2023-04-fargate_container": {  # datadog_historical_cost.json, row 1, charges 4 to 6
            "charges.committed": (2, None),
            "charges.on_demand": (3, None),
            "charges.total": (5, None),  # 2 + 3
        },
        "2022-07-16T14-apm_host_count": {  # datadog_hourly_usage.json, row 1
            "usage.quantity": (4, "host"),
        },
        "2022-07-16T14-container_count": {},  # datadog_hourly_usage.json, row 1: null
    },
}

TOOL_ACTIONS = {
    ("code-2025-09-01-developer", "edit_tool", "accepted"): 45,  # claude_code_analytics.json
    ("code-2025-09-01-developer", "edit_tool", "rejected"): 5,
    ("code-2025-09-01-developer", "multi_edit_tool", "accepted"): 12,
    ("code-2025-09-01-developer", "multi_edit_tool", "rejected"): 2,
    ("code-2025-09-01-developer", "write_tool", "accepted"): 8,
    ("code-2025-09-01-developer", "write_tool", "rejected"): 1,
    ("code-2025-09-01-developer", "notebook_edit_tool", "accepted"): 3,
    ("code-2025-09-01-developer", "notebook_edit_tool", "rejected"): 0,
    # claude_enterprise_users.json, which spells them accepted_count and rejected_count
    ("activity-user_1-claude_code", "edit_tool", "accepted"): 10,
    ("activity-user_1-claude_code", "edit_tool", "rejected"): 2,
    ("activity-user_1-claude_code", "multi_edit_tool", "accepted"): 0,
    ("activity-user_1-claude_code", "multi_edit_tool", "rejected"): 0,
    ("activity-user_1-claude_code", "notebook_edit_tool", "accepted"): 0,
    ("activity-user_1-claude_code", "notebook_edit_tool", "rejected"): 0,
    ("activity-user_1-claude_code", "write_tool", "accepted"): 0,
    ("activity-user_1-claude_code", "write_tool", "rejected"): 0,
}

CHARGES = {
    "claude": [
        ("code-2025-09-01-developer", 0, "total", 10.25, "USD"),
        ("cost-2026-03-04-jane-opus", 0, "net", 412.80, "USD"),
        ("cost-2026-03-04-jane-opus", 1, "total", 516.00, "USD"),
        ("cost-2026-03-04-jane-opus", 2, "discount", 103.20, "USD"),
        ("cost-2026-03-04-org", 0, "net", 27.9918745, "USD"),
    ],
    "codex": [
        ("workspace-2025-10-01-gpt-5.5", 0, "total", 1234, "CREDITS"),
        ("costs-2024-11-01", 0, "total", 0.06, "USD"),
    ],
    "cursor": [
        ("event-1750979225854", 0, "total", 0.2136232, "USD"),
        ("event-1750979225854", 1, "usage_based", 0.2018232, "USD"),
        ("event-1750979225854", 2, "platform_fee", 0.0118, "USD"),
        ("event-1750979173824", 0, "total", 0.3733, "USD"),
        ("event-1750979173824", 1, "usage_based", 0.40167, "USD"),
        ("event-1750979173824", 2, "discount", 0.040167, "USD"),
        ("event-1750979173824", 3, "platform_fee", 0.0118, "USD"),
        ("event-1750978339901", 0, "total", 0.08, "USD"),
        ("event-1750978339901", 1, "included", 0.08, "USD"),
        ("event-1750978339901", 2, "platform_fee", 0, "USD"),
        ("spend-2024-02-27-12346", 0, "total", 32.00, "USD"),
        ("spend-2024-02-27-12346", 1, "on_demand", 18.75, "USD"),
        ("spend-2024-02-27-12346", 2, "included", 13.25, "USD"),
    ],
    "confluent": [
        ("dlz-f3a90de", 0, "total", 99.95, None),
        ("dlz-f3a90de", 1, "discount", 20.95, None),
        ("dlz-f3a90de", 2, "net", 79.0, None),
        ("a-1", 0, "total", 2.73975, None),
        ("a-1", 1, "discount", 0, None),
        ("a-1", 2, "net", 2.73975, None),
        ("a-2", 0, "total", 32.26, None),
        ("a-2", 1, "discount", 0, None),
        ("a-2", 2, "net", 32.26, None),
        ("a-3", 0, "credit", -10, None),
    ],
    "datadog": [
        ("2022-04-infra_host", 0, "committed", 0, None),  # two charges of one type stay two
        ("2022-04-infra_host", 1, "committed", 1.17, None),
        ("2022-04-synthetics_api_tests", 0, "on_demand", 72, None),
        ("2023-04-infra_host", 0, "committed", 0, None),
        ("2023-04-infra_host", 1, "on_demand", 1, None),
        ("2023-04-infra_host", 2, "total", 1, None),
        ("2023-04-fargate_container", 0, "committed", 2, None),
        ("2023-04-fargate_container", 1, "on_demand", 3, None),
        ("2023-04-fargate_container", 2, "total", 5, None),
    ],
}

CLUSTER = {  # confluent_costs_doc.json; the environment is the workspace, and has no name
    "position": 0,
    "resources.id": "lkc-12345",
    "resources.name": "prod-kafka-cluster",
    "resources.workspace.id": "env-123",
}

# A file's rows added up, whatever they mean together: nothing is lost or doubled on the way.
SUMS = {
    "claude": {
        "usage.tokens.input": 1384500,  # 100000 + 1284500
        "usage.tokens.cache_write": 6500,  # 5000 + 1500
        "usage.requests.total": 256,  # 128 + 128: one user's day in two reports
        "usage.code.commits": 15,  # 12 + 3
        "charges.net": 440.7918745,  # 412.80 + 27.9918745
        "charges.total": 526.25,  # 10.25 + 516.00
    },
    "codex": {
        "usage.quantity": 2468,  # 1234 + 800 + 434: the total and its clients
        "usage.tokens.input": 5220,  # 110 + 110 + 5000
        "usage.tokens.total": 770,  # 385 + 385; completions name no total
    },
    "cursor": {
        "usage.tokens.input": 5931,  # 126 + 5805
        "usage.tokens.total": 36732,  # 18652 + 18080
        "usage.quantity": 16.4,  # 5 + 10 + 1.4
        "usage.requests.chat": 128,  # 128 + 0
        "charges.total": 32.6669232,  # 0.2136232 + 0.3733 + 0.08 + 32.00
        "charges.included": 13.33,  # 0.08 + 13.25
        "charges.platform_fee": 0.0236,  # 0.0118 + 0.0118 + 0
    },
    "confluent": {
        "charges.total": 134.94975,  # 99.95 + 2.73975 + 32.26
        "charges.net": 113.99975,  # 79.0 + 2.73975 + 32.26
        "charges.discount": 20.95,  # 20.95 + 0 + 0
        "charges.credit": -10,
    },
    "datadog": {
        "charges.committed": 3.17,  # 0 + 1.17 + 0 + 2
        "charges.on_demand": 76,  # 72 + 1 + 3
        "charges.total": 6,  # 1 + 5
        "usage.quantity": 4,  # 4 + null
    },
}


@pytest.fixture(params=("pandas", "polars"))
def backend(request):
    return request.param


def read(vendor, layout, backend, **options):
    return rows(tu.read_usage(DATA / f"{vendor}.ndjson", layout=layout, backend=backend, **options))


def expected_wide(vendor, id_):
    values = {metric: value for metric, (value, _) in VALUES[vendor][id_].items()}
    return {"id": id_, **ABOUT[vendor][id_], **values}


def expected_long(vendor):
    found = {
        (id_, metric): pair
        for id_, values in VALUES[vendor].items()
        for metric, pair in values.items()
    }
    if vendor == "claude":
        found |= {
            (id_, f"usage.code.tool_actions.{tool}.{action}"): (count, "actions")
            for (id_, tool, action), count in TOOL_ACTIONS.items()
        }
    return found


def sums(pairs):
    """Add up pairs of metric and value by metric, leaving out nulls."""
    found = {}
    for metric, value in pairs:
        if value is not None:
            found.setdefault(metric, []).append(value)
    return {metric: fsum(values) for metric, values in found.items()}


@pytest.mark.parametrize("vendor", VALUES)
def test_wide_holds_what_the_vendor_said_and_null_elsewhere(vendor, backend):
    found = read(vendor, "wide", backend)
    flat = [
        {name: value for name, value in present(row).items() if name not in NESTED} for row in found
    ]
    assert flat == [expected_wide(vendor, id_) for id_ in VALUES[vendor]]


@pytest.mark.parametrize("vendor", VALUES)
def test_long_holds_a_row_for_each_figure_and_no_other(vendor, backend):
    found = read(vendor, "long", backend)
    figures = {(row["id"], row["metric"]): (row["value"], row["unit"]) for row in found}
    assert figures == expected_long(vendor)
    assert len(found) == len(figures)


@pytest.mark.parametrize("vendor", VALUES)
def test_long_repeats_the_dimensions_and_window_of_its_record(vendor, backend):
    for row in read(vendor, "long", backend):
        measured = {"id", "metric", "value", "unit"}
        about = {name: value for name, value in present(row).items() if name not in measured}
        dimensions = {
            name: value
            for name, value in ABOUT[vendor][row["id"]].items()
            if not name.startswith(("usage.", "charges.")) and name != "updated_at"
        }
        assert about == dimensions


@pytest.mark.parametrize("vendor", VALUES)
def test_sums_by_measure_are_the_same_in_wide_and_long(vendor, backend):
    long = sums((row["metric"], row["value"]) for row in read(vendor, "long", backend))
    wide = sums(
        (metric, row[metric])
        for row in read(vendor, "wide", backend)
        for metric in long
        if metric in row
    )
    actions = sums(
        (f"usage.code.tool_actions.{row['tool']}.{row['action']}", row["count"])
        for row in read(vendor, "tool_actions", backend)
    )
    assert wide | actions == pytest.approx(long, rel=1e-12)
    assert {metric: long[metric] for metric in SUMS[vendor]} == pytest.approx(SUMS[vendor])


@pytest.mark.parametrize("vendor", VALUES)
def test_charges_keep_every_entry_in_its_place(vendor, backend):
    names = ("id", "position", "charges.type", "charges.amount", "charges.currency")
    found = read(vendor, "charges", backend)
    assert [tuple(row[name] for name in names) for row in found] == CHARGES[vendor]


@pytest.mark.parametrize("vendor", VALUES)
def test_wide_carries_the_same_charges_nested(vendor, backend):
    found = [
        (row["id"], position, charge["type"], charge["amount"], charge["currency"])
        for row in read(vendor, "wide", backend)
        for position, charge in enumerate(row["charges"] or [])
    ]
    assert found == CHARGES[vendor]


@pytest.mark.parametrize("vendor", VALUES)
def test_resources_are_the_clusters_of_confluent(vendor, backend):
    ids = ("dlz-f3a90de", "a-1") if vendor == "confluent" else ()
    found = [present(row) for row in read(vendor, "resources", backend)]
    assert found == [{"id": id_, **CLUSTER} for id_ in ids]


@pytest.mark.parametrize("vendor", VALUES)
def test_tool_actions_are_those_of_claude_under_one_spelling(vendor, backend):
    found = read(vendor, "tool_actions", backend)
    counts = {(row["id"], row["tool"], row["action"]): row["count"] for row in found}
    assert counts == (TOOL_ACTIONS if vendor == "claude" else {})
    assert len(found) == len(counts)


def test_tool_actions_are_numbered_from_0_in_each_record(backend):
    found = read("claude", "tool_actions", backend)
    positions = {(row["id"], row["position"]) for row in found}
    ids = ("code-2025-09-01-developer", "activity-user_1-claude_code")
    assert positions == {(id_, position) for id_ in ids for position in range(8)}


def test_flags_are_booleans_in_wide(backend):
    found = [row["usage.activity.is_active"] for row in read("cursor", "wide", backend)]
    assert found[0] is True
    assert found[1] is False
    assert found[2:] == [None] * 4


@pytest.mark.parametrize("vendor", ["confluent", "datadog"])
def test_a_currency_can_be_given_to_charges_that_name_none(vendor, backend):
    long = read(vendor, "long", backend, currency="USD")
    assert {row["unit"] for row in long if row["metric"].startswith("charges.")} == {"USD"}


def test_charge_types_outside_the_schema_are_named_and_kept(backend, tmp_path):
    # datadog_projected_cost.json, apm_host: 0 + 3621671.999987 = 3621671.999987
    record = {
        "id": "2023-11-apm_host",
        "product": {"id": "apm_host"},
        "organization": {"id": "yB5yjZ", "name": "Datadog れお 🍻☀️😎🏖️ データドッグ"},
        "charges": [
            {"amount": 0, "type": "projected_committed"},
            {"amount": 3621671.999987, "type": "projected_on_demand"},
            {"amount": 3621671.999987, "type": "total"},
        ],
    }
    path = tmp_path / "projected.ndjson"
    path.write_text(json.dumps(record, ensure_ascii=False), encoding="utf-8")
    with pytest.warns(UserWarning, match="projected_on_demand"):
        found = rows(tu.read_usage(path, layout="long", backend=backend))
    assert {row["metric"]: row["value"] for row in found} == {
        "charges.projected_committed": 0,
        "charges.projected_on_demand": 3621671.999987,
        "charges.total": 3621671.999987,
    }
    assert {row["organization.name"] for row in found} == {"Datadog れお 🍻☀️😎🏖️ データドッグ"}
