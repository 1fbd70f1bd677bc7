"""Experiments as rows and back, without loss: `from_row(to_row(experiment)) == experiment`."""

from __future__ import annotations

from move37.memory.tables import (
    AnalysisRow,
    EvaluationRow,
    ExperimentRow,
    JudgementRow,
    TokenUseRow,
)
from move37.records import Analysis, Experiment, Failed, Judgement, Measured, TokenUse

OWN_TABLES = {"outcome", "judgement", "analysis", "usage"}


def to_row(experiment: Experiment) -> ExperimentRow:
    """Return the rows of one experiment, linked to one another and not yet in a session."""
    return ExperimentRow(
        id=experiment.id,
        campaign=experiment.campaign,
        number=experiment.number,
        status=experiment.status,
        parent=experiment.parent,
        name=_plain(experiment.proposal.name) if experiment.proposal else None,
        fingerprint=experiment.novelty.fingerprint if experiment.novelty else None,
        seconds=experiment.seconds,
        started=experiment.started,
        payload=experiment.model_dump(mode="json", exclude=OWN_TABLES),
        evaluation=_evaluation(experiment.outcome) if experiment.outcome else None,
        judgement=_judgement(experiment.judgement) if experiment.judgement else None,
        analysis=_analysis(experiment.analysis) if experiment.analysis else None,
        usage=[_token_use(position, use) for position, use in enumerate(experiment.usage)],
    )


def from_row(row: ExperimentRow) -> Experiment:
    """Return the experiment that `to_row` was given."""
    return Experiment.model_validate(
        row.payload
        | {
            "outcome": row.evaluation.payload if row.evaluation else None,
            "judgement": row.judgement.payload if row.judgement else None,
            "analysis": row.analysis.payload if row.analysis else None,
            "usage": [_usage_of(use) for use in row.usage],
        }
    )


def _evaluation(outcome: Measured | Failed) -> EvaluationRow:
    row = EvaluationRow(
        kind=outcome.kind,
        train_seconds=outcome.cost.train_seconds,
        cpu_seconds=outcome.cost.cpu_seconds,
        payload=outcome.model_dump(mode="json"),
    )
    if isinstance(outcome, Failed):
        row.stage = outcome.stage
        return row
    row.parameters = outcome.size.parameters
    row.state_bytes = outcome.size.state_bytes
    if any(score.task == "text" for score in outcome.scores):
        row.loss = outcome.loss()
    return row


def _judgement(judgement: Judgement) -> JudgementRow:
    return JudgementRow(
        mode=judgement.mode,
        fitness=judgement.fitness,
        payload=judgement.model_dump(mode="json"),
    )


def _analysis(analysis: Analysis) -> AnalysisRow:
    return AnalysisRow(
        expectation_met=analysis.expectation_met, payload=analysis.model_dump(mode="json")
    )


def _token_use(position: int, use: TokenUse) -> TokenUseRow:
    return TokenUseRow(position=position, **use.model_dump())


def _usage_of(row: TokenUseRow) -> dict[str, object]:
    return {field: getattr(row, field) for field in TokenUse.model_fields}


def _plain(text: str) -> str:
    # PostgreSQL refuses NUL in text columns (JSON ones escape it); the payload keeps the original.
    return text.replace("\x00", "")
