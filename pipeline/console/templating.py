"""Templates: one Jinja environment a language, all values escaped, our filters installed.

Filters: `safe` of Jinja is taken away; `safe_text` shows hostile text; `when` writes a time as the
city does with the exact one behind it; `ago`, `span`, `num` speak the page's language; `label` words a key.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote, urlencode

import jinja2
from markupsafe import Markup

from pipeline.console import labels, source_labels
from pipeline.console.catalogues import NAMES, Catalogue
from pipeline.console.markdown import markdown
from pipeline.console.reasons import reason, trouble
from pipeline.console.safe_text import is_odd, marked_text, safe_text
from pipeline.model.clock import for_people, to_iso
from pipeline.tickets.clocks.packs import standing
from pipeline.tickets.priority import precision

FOLDER: Final = Path(__file__).parent
_LABELS: Final[Mapping[str, Mapping[str, str]]] = {
    "level": labels.LEVELS,
    "status": labels.STATUSES,
    "reason": labels.REASONS,
    "deed": labels.DEEDS,
    "role": labels.ROLES,
    "run_status": labels.RUN_STATUSES,
    "run_kind": labels.RUN_KINDS,
    "source_state": labels.SOURCE_STATES,
    "health": labels.HEALTH,
    "access": labels.ACCESS_DEEDS,
    "known_by": source_labels.KNOWN_BY,
    "means": source_labels.MEANS,
    "outage": source_labels.OUTAGES,
    "notice": labels.NOTICES,
    "waiting": labels.WAITING_FOR,
    "clock": labels.CLOCKS,
    "service": labels.SERVICE,
    "factor": labels.FACTORS,
    "notice_kind": labels.NOTICE_KINDS,
    "condition": labels.CONDITIONS,
    "figure": labels.HEALTH_FIGURES,
    "gap": labels.GAPS,
    "rule_change": labels.RULE_CHANGES,
    "case": labels.CASES,
    "job": labels.JOBS,
    "job_kind": labels.JOB_KINDS,
    "standing": labels.STANDINGS,
    "rest": labels.RESTS,
    "list_kind": labels.LIST_KINDS,
    "asset_kind": labels.ASSET_KINDS,
    "rule_origin": labels.RULE_ORIGINS,
    "disposal": labels.DISPOSALS,
    "way": labels.WAYS,
    "letter_cause": source_labels.LETTER_CAUSES,
    "letter_state": source_labels.LETTER_STATES,
    "outcome": source_labels.OUTCOMES,
    "encoding": source_labels.ENCODINGS,
    "receiver": source_labels.RECEIVERS,
    "delivery": source_labels.DELIVERIES,
    "origin": source_labels.ORIGINS,
    "limit": source_labels.LIMITS,
    "tactic": source_labels.TACTICS,
}


@cache
def environment(words: Catalogue) -> jinja2.Environment:
    """One a language and process: its compiled templates are kept in it."""
    made = jinja2.Environment(
        loader=jinja2.FileSystemLoader(FOLDER / "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        extensions=["jinja2.ext.i18n"],
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.install_gettext_translations(words.words, newstyle=True)  # type: ignore[attr-defined]
    del made.filters["safe"]  # nothing on a page is markup unless a filter of ours made it

    def label(key: str, kind: str) -> str:
        return words.say(_LABELS[kind].get(key, key))

    def when(moment: datetime | None) -> Markup:
        if moment is None:
            return Markup("—")
        form = Markup('<time datetime="{}">{}</time>')
        return form.format(to_iso(moment), for_people(moment))

    def ago(moment: datetime | None, now: datetime) -> Markup:
        if moment is None:
            return Markup("—")
        form = Markup('<time datetime="{}" title="{}">{}</time>')
        return form.format(to_iso(moment), for_people(moment), words.ago(moment, now))

    def stamp(text: object) -> Markup:
        """A document's own time, which is text (ISO 8601) or a time."""
        try:
            moment = text if isinstance(text, datetime) else datetime.fromisoformat(str(text))
            return when(moment if moment.tzinfo else moment.replace(tzinfo=UTC))
        except ValueError:
            return safe_text(text, longest=40)

    def span(length: timedelta) -> str:
        return words.span(length)

    made.filters |= {
        "safe_text": safe_text,
        "marked": marked_text,
        "odd": is_odd,
        "label": label,
        "when": when,
        "ago": ago,
        "stamp": stamp,
        "span": span,
        "size": words.size,
        "num": words.number,
        "markdown": markdown,
        "say": words.say,
        "path": lambda text: quote(str(text), safe=""),
        "trouble": lambda text: trouble(text, words.say),
        "why": lambda text: reason(text, words.say),
        "query": lambda values: urlencode({k: v for k, v in values.items() if v not in ("", None)}),
    }

    def clock_name(key: str) -> str:
        """A clock in words: of the promise, or of the law."""
        if key in labels.SERVICE:
            return label(key, "service")
        clocks = (c for pack in standing().legal for c in pack.clocks if c.key == key)
        found = next(clocks, None)
        return key if found is None else getattr(found.name, words.language)

    made.globals |= {
        "clock_name": clock_name,
        "precision": precision,
        "language": words.language,
        "languages": NAMES,
        "asset": _asset,
        "name_of": lambda agency: agency.name_vi if words.language == "vi" else agency.name_en,
    }
    return made


def _asset(name: str) -> str:
    """A static file's address, which changes with its content, so that browsers may keep it for good."""
    digest = _DIGESTS.get(name)
    if digest is None:
        body = (FOLDER / "static" / name).read_bytes()
        digest = _DIGESTS[name] = hashlib.sha256(body).hexdigest()[:12]
    return f"/static/{name}?v={digest}"


_DIGESTS: dict[str, Any] = {}
