"""The rule list and one rule."""

from __future__ import annotations

from sqlalchemy import select
from starlette.responses import Response

from pipeline.console.visit import Visit
from pipeline.detect.reads import rules
from pipeline.state.tables.tickets import RulePrecision

SIZE = 100


def list_page(visit: Visit) -> Response:
    filters = rules.Filters(visit.query("q")[:200], visit.query("level"), visit.query("state"))
    page = max(1, visit.number(visit.query("page", "1")))
    lines, total = rules.rule_lines(visit.state, visit.actor, filters, page=page, size=SIZE)
    return visit.render(
        "rules.html", lines=lines, total=total, page=page, pages=-(-total // SIZE), filters=filters,
        verdicts=_verdicts(visit, [line.id for line in lines]),
    )  # fmt: skip


def _verdicts(visit: Visit, ids: list[str]) -> dict[str, tuple[int, int]]:
    """Per rule how often it was right and wrong, over all agencies: for those who may see all of them."""
    if visit.actor.scope.agencies is not None:
        return {}
    with visit.state.read() as session:
        rows = session.scalars(select(RulePrecision).where(RulePrecision.rule.in_(ids)))
        return {row.rule: (row.hits, row.misses) for row in rows if row.hits + row.misses}


def rule_page(visit: Visit) -> Response:
    line, revisions, changes = rules.one_rule(
        visit.state, visit.actor, visit.request.path_params["rule"]
    )
    asked = visit.query("revision") or line.revision
    shown = next((one for one in revisions if one.revision == asked), None)
    return visit.render(
        "rule.html",
        verdicts=_verdicts(visit, [line.id]),
        line=line,
        revisions=revisions,
        shown=shown,
        changes=changes,
    )
