"""Who says which configurations to run next: one file a family, on the law of `base`."""

from __future__ import annotations

from .base import AskTell, Proposal, Proposer, proposer

__all__ = ["AskTell", "Proposal", "Proposer", "proposer"]
