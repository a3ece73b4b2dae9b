"""The FOCUS service name, provider and category of each product."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from tidyusage._utils.sql import given, literal, quote
from tidyusage.errors import OptionError, nearest

if TYPE_CHECKING:
    from collections.abc import Iterable

# A provider, a ServiceCategory and a ServiceSubcategory of it.
Service = tuple[str, str, str]

PRODUCT: Final = quote("tu__product")
NAME: Final = quote("tu__name")
SERVICE: Final = quote("tu__service")
PROVIDER: Final = quote("tu__provider")
CATEGORY: Final = quote("tu__category")
SUBCATEGORY: Final = quote("tu__subcategory")
_PARTS: Final = (PROVIDER, CATEGORY, SUBCATEGORY)
_KEY: Final = quote("tu__key")
_REST: Final = "*"
_SHAPE: Final = (
    "Give {'KAFKA': ('Confluent', 'Integration', 'Messaging')}: who provides the product, its "
    "ServiceCategory and its ServiceSubcategory."
)
# What FOCUS 1.2 allows, but for the "Other (…)" that each category has.
_SUBCATEGORIES: Final[dict[str, tuple[str, ...]]] = {
    "AI and Machine Learning": (
        "AI Platforms",
        "Bots",
        "Generative AI",
        "Machine Learning",
        "Natural Language Processing",
    ),
    "Analytics": (
        "Analytics Platforms",
        "Business Intelligence",
        "Data Processing",
        "Search",
        "Streaming Analytics",
    ),
    "Business Applications": ("Productivity and Collaboration",),
    "Compute": (
        "Containers",
        "End User Computing",
        "Quantum Compute",
        "Serverless Compute",
        "Virtual Machines",
    ),
    "Databases": (
        "Caching",
        "Data Warehouses",
        "Ledger Databases",
        "NoSQL Databases",
        "Relational Databases",
        "Time Series Databases",
    ),
    "Developer Tools": (
        "Developer Platforms",
        "Continuous Integration and Deployment",
        "Development Environments",
        "Source Code Management",
        "Quality Assurance",
    ),
    "Identity": ("Identity and Access Management",),
    "Integration": ("API Management", "Messaging", "Workflow Orchestration"),
    "Internet of Things": ("IoT Analytics", "IoT Platforms"),
    "Management and Governance": (
        "Architecture",
        "Compliance",
        "Cost Management",
        "Data Governance",
        "Disaster Recovery",
        "Endpoint Management",
        "Observability",
        "Support",
    ),
    "Media": ("Content Creation", "Gaming", "Media Streaming", "Mixed Reality"),
    "Migration": ("Data Migration", "Resource Migration"),
    "Mobile": (),
    "Multicloud": ("Multicloud Integration",),
    "Networking": (
        "Application Networking",
        "Content Delivery",
        "Network Connectivity",
        "Network Infrastructure",
        "Network Routing",
        "Network Security",
    ),
    "Security": (
        "Secret Management",
        "Security Posture Management",
        "Threat Detection and Response",
    ),
    "Storage": (
        "Backup Storage",
        "Block Storage",
        "File Storage",
        "Object Storage",
        "Storage Platforms",
    ),
    "Web": ("Application Platforms",),
    "Other": (),
}
SUBCATEGORIES: Final = {
    category: (*names, f"Other ({category})") for category, names in _SUBCATEGORIES.items()
}
_OTHER: Final = ("Other", "Other (Other)")
_GENERATIVE: Final = ("AI and Machine Learning", "Generative AI")
_EDITOR: Final = ("Developer Tools", "Development Environments")
_MESSAGING: Final = ("Integration", "Messaging")
_STREAMING: Final = ("Analytics", "Streaming Analytics")
_GOVERNANCE: Final = ("Management and Governance", "Data Governance")
_COMPLIANCE: Final = ("Management and Governance", "Compliance")
_SUPPORT: Final = ("Management and Governance", "Support")
_OBSERVABILITY: Final = ("Management and Governance", "Observability")
# Products by their vendors' documented ids, which are compared without regard to case.
_PRODUCTS: Final[dict[tuple[str, str, str], str]] = {
    ("Anthropic", *_GENERATIVE): "anthropic claude claude_code claude-code",
    ("OpenAI", *_GENERATIVE): "chatgpt codex openai",
    ("Cursor", *_EDITOR): "cursor",
    ("Confluent", *_MESSAGING): "confluent kafka connect custom_connect cluster_link",
    ("Confluent", *_STREAMING): "ksql flink tableflow",
    ("Confluent", *_GOVERNANCE): "stream_governance",
    ("Confluent", *_COMPLIANCE): "audit_log",
    ("Confluent", *_SUPPORT): """
        support_cloud_basic support_cloud_developer support_cloud_business support_cloud_premier
    """,
    ("Datadog", *_OBSERVABILITY): """
        datadog apm_host apm_trace_search application_security_host
        application_vulnerability_management_oss_host audit_trail ci_pipeline
        ci_pipeline_indexed_spans ci_test_indexed_spans ci_testing cloud_cost_management
        cspm_container cspm_host custom_event cws_container cws_host data_stream_monitoring
        dbm_host dbm_normalized_queries fargate_container infra_container_excl_agent infra_host
        infra_hosts ingested_spans ingested_timeseries iot logs_forwarding logs_indexed_3day
        logs_indexed_7day logs_indexed_15day logs_indexed_30day logs_indexed_60day
        logs_indexed_90day logs_indexed_180day logs_indexed_custom_retention logs_ingested
        network_device npm_host observability_pipeline online_archive prof_container prof_host
        rum_lite rum_replay sensitive_data_scanner serverless_apm serverless_infra siem
        synthetics_api_tests synthetics_browser_checks timeseries usm_only_no_charge
        workflow_execution
    """,
}
PRODUCTS: Final[dict[str, Service]] = {
    product: service for service, products in _PRODUCTS.items() for product in products.split()
}
# Who hosts a model provides a product of which nothing else is known.
_HOSTS: Final = {"anthropic": "Anthropic", "cursor": "Cursor", "openai": "OpenAI"}


def services_of(services: Mapping[str, Service] | None) -> dict[str, Service]:
    """Return the services that are known, by product, with what an option says of them."""
    if services is None:
        return PRODUCTS
    if not isinstance(services, Mapping):
        raise OptionError(f"services={services!r} is no mapping.", _SHAPE)
    for product, service in services.items():
        _check(product, service)
    told = {product.strip(" ").lower(): service for product, service in services.items()}
    return {**PRODUCTS, **told}


def _check(product: object, service: object) -> None:
    """Refuse what is no service; a category must be FOCUS's, a subcategory of it."""
    parts: tuple[Any, ...] = tuple(service) if isinstance(service, tuple | list) else ()
    if not all(isinstance(text, str) and text.strip() for text in (product, *parts)):
        parts = ()
    match parts:
        case (_, category, _) if category not in SUBCATEGORIES:
            raise _unknown(product, "ServiceCategory", category, SUBCATEGORIES)
        case (_, category, kind) if kind not in SUBCATEGORIES[category]:
            raise _unknown(product, f"subcategory of {category!r}", kind, SUBCATEGORIES[category])
        case (_, _, _):
            return
    raise OptionError(f"services= has {service!r} for {product!r}.", _SHAPE)


def _unknown(product: object, kind: str, value: str, known: Iterable[str]) -> OptionError:
    return OptionError(
        f"services= has {value!r} for {product!r}, which is no {kind} of FOCUS 1.2.",
        nearest(value, known),
    )


def steps(services: Mapping[str, Service], source: str, product: str, name: str) -> str:
    """Return the steps to ``offers``: each product under each of its names, and what it is.

    A ServiceName has one category: that of the product which is known, the first by the alphabet.
    """
    columns = dict.fromkeys((_KEY, *_PARTS), "varchar")
    rows = [(key, *service) for key, service in services.items()]
    rest = services.get(_REST, (None, *_OTHER))
    filled = (f"coalesce({part}, {literal(of)})" for part, of in zip(_PARTS, rest, strict=True))
    told = (f"{sql} as {part}" for part, sql in zip(_PARTS, filled, strict=True))
    kinds = (f"first_value({part}) over kinds as {part}" for part in _PARTS[1:])
    return f"""products as (
  {given(columns, rows)}
),
named as (
  select distinct {product} as {PRODUCT}, {name} as {NAME}
  from {source}
),
known as (
  select {PRODUCT}, {NAME}, coalesce({NAME}, {PRODUCT}) as {SERVICE}, {_KEY}, {", ".join(told)}
  from named
  left join products on {_KEY} = lower({PRODUCT})
),
offers as (
  select {PRODUCT}, {NAME}, {SERVICE}, {PROVIDER}, {", ".join(kinds)}
  from known
  window kinds as (partition by {SERVICE} order by {_KEY} is null, {PRODUCT})
)"""


def provider(model_provider: str) -> str:
    """Return the SQL of who provides a record's product: it, the model's host, its own name."""
    hosts = " ".join(f"when {literal(key)} then {literal(host)}" for key, host in _HOSTS.items())
    return f"coalesce({PROVIDER}, case lower({model_provider}) {hosts} end, {SERVICE})"
